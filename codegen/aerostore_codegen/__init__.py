"""The schema compiler: declarations in Python in, C and a loadable package out.

The pipeline is ``load → lower → layout → emit → write``; every step but the last is pure.
``build`` compiles what was written, ``cli`` is the command.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
