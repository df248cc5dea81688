"""SyncNet v2 (Chung and Zisserman, ACCV workshops 2016) with the protocol of its authors' published evaluation code."""

from curation.scores.person.syncnet.score import LIP_SYNC

__all__ = ["LIP_SYNC"]
