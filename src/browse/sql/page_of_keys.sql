-- The numbers of a page's rows, in its order.
SELECT * FROM ({keys}) ORDER BY {order} LIMIT :limit OFFSET :offset
