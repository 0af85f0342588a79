"""Files in and out: Parquet, Arrow, JSON lines, CSV, HDF5 and .npy.

    import varve.io

    varve.io.import_file(ns, "photos.parquet", id="photo", vector="embedding")
    ns.ingest(varve.io.read("photos.jsonl.gz"))
    varve.io.export_file(ns, "boots.parquet", filter='category = "boot"')

Both ways are streams: memory holds some batches, however large the file is. `python -m varve import` and
`python -m varve export` do the same from a shell.

| suffix | ids | vectors | metadata |
|---|---|---|---|
| .parquet, .arrow, .feather | a column of integers or strings | a column of lists | any other columns |
| .jsonl, .jsonl.gz | a key | a key with a list, or beside in a .npy | any other keys |
| .csv, .csv.gz | a column | a column "[1,2,...]", or columns x0, x1 ... | any other columns |
| .hdf5, .h5 | dataset "ids", if there | dataset "train" (as ann-benchmarks has it) | other 1-d datasets |
| .npy | beside, in a .npy or one a line | shape [rows, dimension] | none |

Without a column of ids, records have their positions in the file, from 0.
"""

from varve.io._export import export_file
from varve.io._import import fields_of, import_file, read

__all__ = ["export_file", "fields_of", "import_file", "read"]
