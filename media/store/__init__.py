"""Bytes that lie in an object store, or behind any other address that fsspec knows: whole, by range, and through a bounded local cache.

`objects` asks and asks again, `listing` reads what DVC keeps there without DVC, `block_cache` keeps ranges, `remote_bytes` is a file of it for readers.
"""
