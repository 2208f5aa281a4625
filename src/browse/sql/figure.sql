INSERT OR REPLACE INTO temp.group_figure VALUES (:prefix, :exclusive_bytes, :logical_bytes)
