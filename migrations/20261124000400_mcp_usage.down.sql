SELECT drop_time_series('mcp_usage');
