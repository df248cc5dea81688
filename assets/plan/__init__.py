"""What a profile would take on a cluster: memory, time, storage and money, before anything is started."""
