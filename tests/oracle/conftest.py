"""A comparison whose peer is not installed stands in the report once, not once a parameter."""


def pytest_collection_modifyitems(config, items):
    told, kept, left = set(), [], []
    for item in items:
        skipped = any(mark.args and mark.args[0] for mark in item.iter_markers("skipif"))
        known = (item.fspath, getattr(item, "originalname", item.name))
        (left if skipped and known in told else kept).append(item)
        if skipped:
            told.add(known)
    config.hook.pytest_deselected(items=left)
    items[:] = kept
