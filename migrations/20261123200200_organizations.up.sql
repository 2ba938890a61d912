-- Who there is: people, organizations, and who belongs where.
-- Ids default to random UUIDs for rows written by hand; the gateway writes UUIDv7, which index better.

CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    email VARCHAR(255) NOT NULL,
    email_verified BOOLEAN NOT NULL DEFAULT FALSE,
    password_hash VARCHAR(255), -- NULL: signs in by OAuth only

    name VARCHAR(255) NOT NULL,
    avatar_url VARCHAR(500),
    timezone VARCHAR(50) DEFAULT 'UTC',
    locale VARCHAR(10) DEFAULT 'en-US',

    mfa_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    mfa_secret VARCHAR(255),
    mfa_backup_codes TEXT[],

    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'suspended', 'pending_verification')),
    last_login_at TIMESTAMPTZ,
    last_login_ip INET,

    settings JSONB NOT NULL DEFAULT '{}',
    metadata JSONB NOT NULL DEFAULT '{}',

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
);

-- Partial, so that a deleted user doesn't block the address for ever.
CREATE UNIQUE INDEX idx_users_email ON users (email) WHERE deleted_at IS NULL;
CREATE INDEX idx_users_status ON users (status) WHERE deleted_at IS NULL;
CREATE INDEX idx_users_created_at ON users (created_at);
CREATE INDEX idx_users_name_search ON users USING gin (to_tsvector('english', name));
CREATE INDEX idx_users_settings ON users USING gin (settings);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE organizations (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    name VARCHAR(255) NOT NULL,
    slug VARCHAR(100) NOT NULL,

    billing_email VARCHAR(255),
    support_email VARCHAR(255),

    -- default_model is a hint for clients that ask the admin API; requests are forwarded with the model they name.
    settings JSONB NOT NULL DEFAULT '{
        "default_model": "claude-sonnet-5-5",
        "require_mcp_approval": true,
        "audit_retention_days": 90
    }',

    stripe_customer_id VARCHAR(255),

    sso_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    sso_provider VARCHAR(50),
    sso_config JSONB,
    allowed_email_domains TEXT[],

    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'suspended', 'pending')),

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
);

CREATE UNIQUE INDEX idx_orgs_slug ON organizations (slug) WHERE deleted_at IS NULL;
CREATE INDEX idx_orgs_status ON organizations (status) WHERE deleted_at IS NULL;
CREATE INDEX idx_orgs_stripe_customer ON organizations (stripe_customer_id);
CREATE INDEX idx_orgs_settings ON organizations USING gin (settings);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON organizations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE org_members (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    org_id UUID NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,

    role VARCHAR(20) NOT NULL DEFAULT 'member'
        CHECK (role IN ('owner', 'admin', 'member', 'viewer')),

    invited_by UUID REFERENCES users (id),
    invited_at TIMESTAMPTZ,
    accepted_at TIMESTAMPTZ,

    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'invited', 'suspended')),

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),

    UNIQUE (org_id, user_id)
);

CREATE INDEX idx_org_members_user ON org_members (user_id);
CREATE INDEX idx_org_members_org ON org_members (org_id);
CREATE INDEX idx_org_members_role ON org_members (org_id, role);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON org_members
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
