-- What tenants may do: by rules of their own, and by what they pay for.

CREATE TABLE policies (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    org_id UUID REFERENCES organizations (id) ON DELETE CASCADE,
    project_id UUID REFERENCES projects (id) ON DELETE CASCADE,
    created_by UUID NOT NULL REFERENCES users (id),

    name VARCHAR(255) NOT NULL,
    description TEXT,

    type VARCHAR(20) NOT NULL
        CHECK (type IN ('usage', 'access', 'compliance', 'custom')),
    rules JSONB NOT NULL, -- what is in it depends on the type

    applies_to JSONB NOT NULL DEFAULT '{
        "users": ["all"],
        "projects": ["all"],
        "models": ["all"]
    }',

    priority INTEGER NOT NULL DEFAULT 100, -- the highest is evaluated first

    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'disabled', 'draft')),

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ,

    CONSTRAINT policies_scope CHECK (org_id IS NOT NULL OR project_id IS NOT NULL)
);

CREATE INDEX idx_policies_org ON policies (org_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_policies_project ON policies (project_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_policies_type ON policies (type, status) WHERE deleted_at IS NULL;
CREATE INDEX idx_policies_priority ON policies (priority DESC);

CREATE TABLE subscriptions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),

    org_id UUID NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,

    plan VARCHAR(20) NOT NULL DEFAULT 'free'
        CHECK (plan IN ('free', 'team', 'pro', 'enterprise')),

    stripe_subscription_id VARCHAR(255),
    stripe_price_id VARCHAR(255),

    billing_cycle VARCHAR(20) NOT NULL DEFAULT 'monthly'
        CHECK (billing_cycle IN ('monthly', 'yearly')),

    -- past_due is warned about, canceled is refused. An organization without a row has no plan and no limits.
    status VARCHAR(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'past_due', 'canceled', 'trialing')),

    current_period_start TIMESTAMPTZ,
    current_period_end TIMESTAMPTZ,
    trial_end TIMESTAMPTZ,
    canceled_at TIMESTAMPTZ,

    limits JSONB NOT NULL DEFAULT '{
        "max_users": 5,
        "max_projects": 3,
        "max_tokens_per_month": 1000000,
        "max_mcp_servers": 10
    }',

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX idx_subscriptions_org ON subscriptions (org_id);
CREATE INDEX idx_subscriptions_stripe ON subscriptions (stripe_subscription_id);
CREATE INDEX idx_subscriptions_status ON subscriptions (status);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON policies
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
