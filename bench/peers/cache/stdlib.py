"""What the standard library has: yardsticks for hit ratio and memory."""

from collections import OrderedDict

NAME = "standard library"
REFERENCE = True


def _lru(capacity):
    entries = OrderedDict()

    def request(key):
        if key in entries:
            entries.move_to_end(key)
            return True
        entries[key] = key
        if len(entries) > capacity:
            entries.popitem(last=False)
        return False

    return request


def _fifo(capacity):
    entries = OrderedDict()

    def request(key):
        if key in entries:
            return True
        entries[key] = key
        if len(entries) > capacity:
            entries.popitem(last=False)
        return False

    return request


def policies():
    return {"LRU (OrderedDict)": _lru, "FIFO (OrderedDict)": _fifo}


def full(count):
    return {f"key:{number}": number % 100 for number in range(count)}
