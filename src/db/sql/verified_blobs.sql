-- What the last check of content found right, in digest order.
SELECT hash, other_digest, size_bytes, modified_ns, changed_ns, verified_ns
FROM blob
WHERE verified_ns IS NOT NULL
ORDER BY id
