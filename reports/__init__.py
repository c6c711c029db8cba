"""From a store to figures, tables and the document. Reads Parquet; never imports ray or torch."""
