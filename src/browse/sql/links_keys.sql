-- Every layer link to a blob that is gone (`:dangling` 1), or that no image needs, with what it is sorted by.
SELECT
    k.link_blob_id AS id, 0 AS logical_bytes, 1 AS item_count, k.linked_ns AS time_ns, k.repository_id AS repository_id
FROM layer_link k
WHERE CASE WHEN :dangling THEN k.is_dangling = 1 ELSE k.is_dangling = 0 AND k.is_needed = 0 END
-- With a filter:
AND (
    is_named(k.repository_id)
    OR k.link_blob_id >= :low AND k.link_blob_id < :high
)
