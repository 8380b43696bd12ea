"""Before any test: a thread for each process.

The tests run in several processes (pytest-xdist) and start others. Processes whose OpenMP
threads compete for the same cores are 50 times slower. pytest reads this file first, while
nobody has imported torch, which looks at the variable once. It knows no test.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
