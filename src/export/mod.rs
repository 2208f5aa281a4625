//! What leaves regsql in a form of its own, for other programs or for the browser. Reads a snapshot
//! and writes to whatever it is given; never prints.

pub mod html;
