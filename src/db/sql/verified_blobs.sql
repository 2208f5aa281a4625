-- What the last check of content found right, in digest order.
SELECT b.hash, b.other_digest, b.size_bytes, b.modified_ns, b.changed_ns, b.verified_ns, c.inode
FROM blob b
LEFT JOIN checked_file c ON c.blob_id = b.id
WHERE b.verified_ns IS NOT NULL
ORDER BY b.id
