-- One row for each use of an MCP tool that an exchange shows. As for usage_events, the order of columns never changes.

CREATE TABLE mcp_usage (
    time TIMESTAMPTZ NOT NULL,

    org_id UUID NOT NULL,
    project_id UUID NOT NULL,
    user_id UUID,

    server_id UUID, -- NULL: a server that isn't registered
    server_name TEXT NOT NULL,
    tool_name VARCHAR(255) NOT NULL,

    request_id UUID NOT NULL,
    parent_request_id UUID, -- the request to the Claude API that the use was part of

    latency_ms INTEGER,
    status VARCHAR(20) NOT NULL -- requested: the client runs the tool, its result is not known yet
        CHECK (status IN ('success', 'error', 'timeout', 'blocked', 'requested')),
    error_message TEXT,

    input_size INTEGER, -- bytes
    output_size INTEGER, -- bytes

    metadata JSONB NOT NULL DEFAULT '{}'
);

SELECT make_time_series('mcp_usage', INTERVAL '1 day', INTERVAL '7 days');

CREATE INDEX idx_mcp_usage_server ON mcp_usage (server_id, time DESC);
CREATE INDEX idx_mcp_usage_tool ON mcp_usage (server_id, tool_name, time DESC);
CREATE INDEX idx_mcp_usage_project ON mcp_usage (project_id, time DESC);
CREATE INDEX idx_mcp_usage_time ON mcp_usage USING brin (time);
