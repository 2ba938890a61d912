DROP TABLE mcp_usage;
