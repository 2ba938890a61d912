-- What may be called, and by whom. Of a key only the SHA-256 of the whole of it is stored (64 lower-case hex digits).

CREATE TABLE projects (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    org_id UUID NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,

    name VARCHAR(255) NOT NULL,
    slug VARCHAR(100) NOT NULL,
    description TEXT,

    -- Every model by default: a list of names would refuse each new tenant once those models retire.
    settings JSONB NOT NULL DEFAULT '{
        "allowed_models": ["*"],
        "default_model": "claude-sonnet-5-5",
        "mcp_auto_approve": false
    }',

    -- A missing or null quota means no limit.
    quotas JSONB NOT NULL DEFAULT '{
        "max_tokens_per_day": null,
        "max_cost_per_day_usd": null,
        "max_requests_per_minute": 100
    }',

    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'paused', 'archived')),

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
);

CREATE UNIQUE INDEX idx_projects_org_slug ON projects (org_id, slug) WHERE deleted_at IS NULL;
CREATE INDEX idx_projects_org ON projects (org_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_projects_status ON projects (org_id, status) WHERE deleted_at IS NULL;
CREATE INDEX idx_projects_settings ON projects USING gin (settings);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON projects
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE api_keys (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    created_by UUID NOT NULL REFERENCES users (id),

    key_prefix VARCHAR(20) NOT NULL, -- mw_sk_live_ or mw_sk_test_
    key_hash VARCHAR(64) NOT NULL,

    name VARCHAR(255) NOT NULL,
    description TEXT,

    scopes TEXT[] NOT NULL DEFAULT ARRAY['read', 'write'],
    allowed_ips INET[],

    -- Written in batches, seconds behind the requests they count.
    last_used_at TIMESTAMPTZ,
    last_used_ip INET,
    usage_count BIGINT NOT NULL DEFAULT 0,

    expires_at TIMESTAMPTZ,

    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'revoked', 'expired')),
    revoked_at TIMESTAMPTZ,
    revoked_by UUID REFERENCES users (id),

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX idx_api_keys_project ON api_keys (project_id) WHERE status = 'active';
CREATE INDEX idx_api_keys_prefix_hash ON api_keys (key_prefix, key_hash);
-- A hash names one key, revoked ones included: nothing may bring a revoked key back under another row.
CREATE UNIQUE INDEX idx_api_keys_hash ON api_keys (key_hash);
CREATE INDEX idx_api_keys_last_used ON api_keys (last_used_at);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE admin_keys (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    org_id UUID REFERENCES organizations (id) ON DELETE CASCADE, -- NULL: the whole installation
    -- NULL: nobody's in particular. A person's keys go with the person: kept, they would be access without an owner.
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,

    role VARCHAR(20) NOT NULL
        CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    name VARCHAR(255) NOT NULL,
    key_hash VARCHAR(64) NOT NULL UNIQUE,

    allowed_ips INET[],
    expires_at TIMESTAMPTZ,

    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'revoked', 'expired')),
    last_used_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX idx_admin_keys_org ON admin_keys (org_id);
CREATE INDEX idx_admin_keys_user ON admin_keys (user_id) WHERE user_id IS NOT NULL;

CREATE TRIGGER set_updated_at BEFORE UPDATE ON admin_keys
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
