DROP TABLE subscriptions;
DROP TABLE policies;
