"""What a training would take, before it is started: parameters, bytes at the peak, FLOPs."""
