"""The event index: chain events to SQLite or PostgreSQL, and what a portfolio looks like in it.

    from contracts.index.database import IndexDatabase
    from contracts.index.deployment import read_deployment
    from contracts.index.indexer import Indexer
    from contracts.index.store import IndexStore
    from contracts.index.web3_source import Web3Source, connect

    deployment = read_deployment(Path("deployment.json"))
    store = IndexStore(IndexDatabase("sqlite:///index.db"), deployment)
    source = Web3Source(connect("http://127.0.0.1:8545"), deployment.contracts.values())
    Indexer(source, store, deployment).run()

`schema` has the tables, `movements` says what each kind of fact means, `snapshot` and `portfolio`
read them. Nothing is imported here, so that a command's help needs no database library.
"""
