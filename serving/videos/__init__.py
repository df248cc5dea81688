"""Videos over HTTP: jobs on disk, the worker that makes them, and the form of the requests."""
