"""Where a training runs: on this machine, on those of a hostfile, in a Kubernetes pod or as a Ray job; one interface.

`resource.TrainingLauncher` is that interface, `settings` what chooses; each other module is one way.
"""
