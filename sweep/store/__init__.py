"""The store: five tables of flat Parquet files, and the only place that writes them."""
