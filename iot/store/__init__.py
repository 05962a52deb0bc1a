"""The lessor's telemetry database: SQLite with a write-ahead log, or PostgreSQL by URL."""
