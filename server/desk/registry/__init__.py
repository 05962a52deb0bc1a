"""The model registry: which models there are, which of them answers, and who decided so.

`registry.Registry` holds signed models and their stages in SQLite or PostgreSQL, `directory`
serves them without a dropped request, `settings` reads where the database is.
"""
