-- Whole tables of the same form: rows are copied as they are, in their order.
INSERT INTO main.media_type SELECT * FROM side.media_type;
INSERT INTO main.build_step SELECT * FROM side.build_step;
INSERT INTO main.reference SELECT * FROM side.reference;
INSERT INTO main.referenced_by SELECT * FROM side.referenced_by;
INSERT INTO main.alias SELECT * FROM side.alias;
INSERT INTO main.base_image SELECT * FROM side.base_image;
INSERT INTO main.changing_step SELECT * FROM side.changing_step;
