//! A reader that refuses what is longer than any row or item is.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Refuses a row or item that is longer than any is: an open quote would take the rest of a file into
/// memory.
pub(super) struct Bounded<'a> {
    content: &'a mut dyn Read,
    most_bytes: usize,
    left: Rc<Cell<usize>>,
    /// The last byte that was read.
    pub(super) last: Option<u8>,
}

/// Says that a row or item begins.
pub(super) struct Begins {
    most_bytes: usize,
    left: Rc<Cell<usize>>,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(content: &'a mut dyn Read, most_bytes: usize) -> (Self, Begins) {
        let left = Rc::new(Cell::new(most_bytes));
        let begins = Begins { most_bytes, left: left.clone() };
        (Self { content, most_bytes, left, last: None }, begins)
    }
}

impl Begins {
    pub(super) fn now(&self) {
        self.left.set(self.most_bytes);
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            let what = format!("one row or item is longer than {} bytes", self.most_bytes);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        let end = buffer.len().min(left);
        let count = self.content.read(&mut buffer[..end])?;
        self.left.set(left - count);
        if count > 0 {
            self.last = Some(buffer[count - 1]);
        }
        Ok(count)
    }
}
