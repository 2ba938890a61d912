SELECT drop_time_series('usage_events');
