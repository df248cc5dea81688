"""SyncNet v2 (Chung and Zisserman, ACCV workshops 2016) with the protocol of its authors' published evaluation code."""
