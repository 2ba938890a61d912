-- Which MCP servers a project may use, with the tools they offer and what was found when they were looked at.

CREATE TABLE mcp_servers (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    registered_by UUID NOT NULL REFERENCES users (id),

    name VARCHAR(255) NOT NULL,
    description TEXT,
    version VARCHAR(50),

    transport_type VARCHAR(20) NOT NULL
        CHECK (transport_type IN ('stdio', 'sse', 'http')),
    transport_config JSONB NOT NULL, -- {"command": "npx", "args": ["-y", "@github/mcp-server"]}
    -- ${secrets.NAME} stands for a secret of the gateway's and is stored as it stands.
    environment JSONB NOT NULL DEFAULT '{}',

    manifest JSONB,
    manifest_url VARCHAR(500),

    status VARCHAR(20) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'approved', 'rejected', 'deprecated')),
    approved_by UUID REFERENCES users (id),
    approved_at TIMESTAMPTZ,
    rejection_reason TEXT,

    security_scan_status VARCHAR(20) DEFAULT 'pending'
        CHECK (security_scan_status IN ('pending', 'running', 'passed', 'failed')),
    security_scan_results JSONB,
    last_scanned_at TIMESTAMPTZ,

    policy JSONB NOT NULL DEFAULT '{
        "allowed_roles": ["admin", "developer"],
        "rate_limit_per_minute": 100,
        "requires_approval_per_use": false
    }',

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
);

CREATE UNIQUE INDEX idx_mcp_servers_project_name ON mcp_servers (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_servers_project ON mcp_servers (project_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_servers_status ON mcp_servers (project_id, status) WHERE deleted_at IS NULL;

CREATE TABLE mcp_tools (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    server_id UUID NOT NULL REFERENCES mcp_servers (id) ON DELETE CASCADE,

    name VARCHAR(255) NOT NULL,
    description TEXT,
    input_schema JSONB NOT NULL,

    risk_level VARCHAR(20) NOT NULL DEFAULT 'low'
        CHECK (risk_level IN ('low', 'medium', 'high', 'critical')),
    risk_notes TEXT,

    enabled BOOLEAN NOT NULL DEFAULT TRUE,

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),

    UNIQUE (server_id, name)
);

CREATE INDEX idx_mcp_tools_server ON mcp_tools (server_id);
CREATE INDEX idx_mcp_tools_risk ON mcp_tools (server_id, risk_level);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON mcp_servers
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON mcp_tools
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
