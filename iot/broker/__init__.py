"""The broker of demo, tests and benchmarks: mosquitto where it is installed, else one in Python.

    with MosquittoBroker(folder, BrokerUsers(devices, services)) as broker:
        client.tls_set(str(broker.address.authority))
        client.connect(broker.address.host, broker.address.port)

Both take the same users and the same rule of access: see `iot.broker.access`.
"""
