class PoolSuite:
    pass
