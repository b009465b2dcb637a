"""The foreign-function side of the package: the only place that knows cffi.  No cdata leaves it."""
