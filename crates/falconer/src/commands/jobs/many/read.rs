//! Jobs out of files and standard input: a JSON array, JSON objects, or one object on each line.
//!
//! A line that is no JSON is handed on as it is: the server names what is wrong with it, and the lines after it are not
//! touched by it. An array, or an object over several lines, has no such lines, so it ends where it is broken.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::{
    Deserializer as _,
    de::{SeqAccess, Visitor},
};
use serde_json::{Deserializer, value::RawValue};
use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The longest line that is read. The server takes less.
const LINE_MAX: u64 = 4 * 1024 * 1024;

/// One job as it was written, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) bytes: Bytes,
}

/// Where a job was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: Arc<str>,
    /// Counted from 1: the line, or the place in an array.
    number: u64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Line,
    Item,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Line => write!(f, "{}:{}", self.file, self.number),
            Unit::Item => write!(f, "{}[{}]", self.file, self.number),
        }
    }
}

/// A file that was opened, or standard input.
pub(super) struct Source {
    name: Arc<str>,
    reader: Box<dyn Read + Send>,
}

/// Opens all files, so that one that is missing is known before anything is sent. `-` is standard input.
pub(super) fn open(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let sources = paths.iter().map(|path| {
        if path == Path::new("-") {
            return Ok(Source { name: "standard input".into(), reader: Box::new(std::io::stdin()) });
        }
        let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        Ok(Source { name: path.display().to_string().into(), reader: Box::new(file) })
    });
    sources.collect()
}

impl Source {
    /// Hands one job after the other to `each`, until it says that there is enough.
    pub(super) fn read(self, each: &mut dyn FnMut(Record) -> bool) -> Result<()> {
        let Self { name, reader } = self;
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        let failed = || format!("failed to read {name}");
        let (mut before, mut line) = (0, Vec::new());
        // Blank lines tell nothing of what follows.
        while line.trim_ascii().is_empty() {
            line.clear();
            if !next_line(&mut reader, &mut line).with_context(failed)? {
                return Ok(());
            }
            before += 1;
        }
        let mut written = Written { name: &name, each };
        if line.trim_ascii_start().starts_with(b"[") {
            written.array(BufReader::new(line.chain(reader)))
        } else if is_begun(&line) {
            written.objects(BufReader::new(line.chain(reader)))
        } else {
            written.lines(before, line, reader)
        }
    }
}

/// Whether a line is the beginning of a JSON text that goes on after it.
fn is_begun(line: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(line).is_err_and(|error| error.is_eof())
}

fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool> {
    let read = reader.take(LINE_MAX).read_until(b'\n', line)?;
    if line.len() as u64 >= LINE_MAX {
        bail!("a line is longer than {LINE_MAX} bytes");
    }
    Ok(read > 0)
}

struct Written<'a> {
    name: &'a Arc<str>,
    each: &'a mut dyn FnMut(Record) -> bool,
}

impl Written<'_> {
    fn lines(&mut self, mut number: u64, mut line: Vec<u8>, mut reader: impl BufRead) -> Result<()> {
        loop {
            let job = line.trim_ascii();
            if !job.is_empty() && !self.hand_on(number, Unit::Line, Bytes::copy_from_slice(job)) {
                return Ok(());
            }
            line.clear();
            if !next_line(&mut reader, &mut line).with_context(|| format!("failed to read {}", self.name))? {
                return Ok(());
            }
            number += 1;
        }
    }

    /// Reads objects that go over several lines, one after the other.
    fn objects(&mut self, json: impl Read) -> Result<()> {
        let objects = Deserializer::from_reader(json).into_iter::<Box<RawValue>>();
        for (number, object) in (1..).zip(objects) {
            let object = object.with_context(|| format!("{} is not JSON", self.name))?;
            if !self.hand_on(number, Unit::Item, on_one_line(&object)) {
                break;
            }
        }
        Ok(())
    }

    /// Reads the items of an array, each as soon as it is there.
    fn array(&mut self, json: impl Read) -> Result<()> {
        let name = Arc::clone(self.name);
        let mut json = Deserializer::from_reader(json);
        let mut items = Items { written: self, is_enough: false };
        match json.deserialize_seq(&mut items) {
            Err(_) if items.is_enough => Ok(()),
            read => read.and_then(|()| json.end()).with_context(|| format!("{name} is not a JSON array")),
        }
    }

    fn hand_on(&mut self, number: u64, unit: Unit, bytes: Bytes) -> bool {
        let place = Place { file: Arc::clone(self.name), number, unit };
        (self.each)(Record { place, bytes })
    }
}

struct Items<'a, 'b> {
    written: &'a mut Written<'b>,
    is_enough: bool,
}

impl<'de> Visitor<'de> for &mut Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of jobs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(item) = seq.next_element::<Box<RawValue>>()? {
            number += 1;
            if !self.written.hand_on(number, Unit::Item, on_one_line(&item)) {
                self.is_enough = true;
                return Err(serde::de::Error::custom("there is enough"));
            }
        }
        Ok(())
    }
}

/// The same JSON without ends of lines, which stand between its parts and never in a string.
fn on_one_line(json: &RawValue) -> Bytes {
    json.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn record(number: usize) -> Record {
        let place = Place { file: "f".into(), number: number as u64 + 1, unit: Unit::Line };
        Record { place, bytes: format!("{{\"n\":{number}}}").into() }
    }

    fn read(text: &str) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        let source = Source { name: "f".into(), reader: Box::new(std::io::Cursor::new(text.to_owned())) };
        source.read(&mut |record| {
            all.push((record.place.to_string(), String::from_utf8_lossy(&record.bytes).into_owned()));
            all.len() < 100
        })?;
        Ok(all)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(place, text)| ((*place).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn lines_are_told_apart_and_a_broken_one_touches_no_other() {
        let all = read("\n{\"a\":1.10}\r\n\n{broken\n {\"c\":3}").unwrap();
        assert_eq!(all, pairs(&[("f:2", "{\"a\":1.10}"), ("f:4", "{broken"), ("f:5", "{\"c\":3}")]));
        assert_eq!(read("nonsense\n{}\n").unwrap(), pairs(&[("f:1", "nonsense"), ("f:2", "{}")]));
    }

    #[test]
    fn an_array_or_an_object_may_go_over_several_lines() {
        let all = read("[ {\"a\": 17454220438242315174},\n\n {\"b\":\n2} ]\n").unwrap();
        assert_eq!(all, pairs(&[("f[1]", "{\"a\": 17454220438242315174}"), ("f[2]", "{\"b\": 2}")]));
        let all = read("{\n  \"a\": \"x\\n\"\n}\n{\n}\n").unwrap();
        assert_eq!(all, pairs(&[("f[1]", "{   \"a\": \"x\\n\" }"), ("f[2]", "{ }")]));
    }

    #[test]
    fn an_array_that_is_broken_is_no_array_from_there_on() {
        let error = read("[{}, {]").unwrap_err();
        assert!(format!("{error:#}").starts_with("f is not a JSON array"), "{error:#}");
        assert!(read("[{}] {}").is_err());
    }

    #[test]
    fn nothing_and_blanks_are_no_jobs() {
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read("\n \n").unwrap(), []);
        assert_eq!(read("[]").unwrap(), []);
    }
}
