//! The job's log: lines with times.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use jiff::Timestamp;

use crate::ui;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log `{}`", .path.display())]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

impl LogError {
    /// The next step.
    pub fn hint(&self) -> String {
        "nothing was done: `output.log` must name a file in a directory that exists".into()
    }
}

/// Where lines go: to a file if there is one, and to whoever looks on.
pub struct Log<'a> {
    file: Option<File>,
    echo: Box<dyn Fn(&str) + 'a>,
}

impl<'a> Log<'a> {
    /// A log in `path`. `echo` gets each line without its time.
    ///
    /// # Errors
    /// When the file cannot be opened, except on a full disk: the job may free it.
    pub fn open(path: Option<&Path>, echo: impl Fn(&str) + 'a) -> Result<Self, LogError> {
        let file = match path {
            Some(path) => match OpenOptions::new().create(true).append(true).open(path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => None,
                Err(source) => return Err(LogError { path: path.to_owned(), source }),
            },
            None => None,
        };
        Ok(Self { file, echo: Box::new(echo) })
    }

    /// One line. What a terminal acts on is written out.
    pub fn line(&self, text: &str) {
        (self.echo)(text);
        if let Some(mut file) = self.file.as_ref() {
            let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
            let text = ui::visible(text);
            // One write, so that lines of commands cannot come in between. A full disk loses the line.
            drop(file.write_all(format!("{time} {text}\n").as_bytes()));
        }
    }

    /// Where lines go that have their times already.
    pub fn raw(&self) -> Box<dyn Write + Send> {
        match self.file.as_ref().map(File::try_clone) {
            Some(Ok(file)) => Box::new(file),
            Some(Err(_)) => Box::new(io::sink()),
            None => Box::new(io::stderr()),
        }
    }

    /// Where a command writes to: what goes on running after its end, such as a server, must find
    /// somebody who takes what it prints.
    pub fn stdio(&self) -> Stdio {
        match &self.file {
            Some(file) => file.try_clone().map_or_else(|_| Stdio::null(), Stdio::from),
            None => Stdio::from(io::stderr()),
        }
    }
}
