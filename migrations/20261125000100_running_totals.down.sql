DROP TABLE upstream_totals;
