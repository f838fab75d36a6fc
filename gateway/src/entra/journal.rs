//! The journal in its file: one line each, appended and synced, by one process at a time.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use vestibule_core::entra::{
    Step,
    journal::{self, Did, Entry, Known},
};

use super::{Class, Trouble};
use crate::{page::time::moment, world::World};

/// An open journal; nobody else has it until this is dropped.
#[derive(Debug)]
pub struct Journal {
    /// Nothing where it is only looked at.
    file: Option<File>,
    entries: Vec<Entry>,
    run: String,
    world: World,
}

impl Journal {
    /// Opens the journal in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// [`Trouble`]: it cannot be written, somebody else has it, or a line says nothing.
    pub fn open(folder: &Path, world: &World) -> Result<Self, Trouble> {
        let path = folder.join("journal.jsonl");
        let failed = |error: std::io::Error| {
            let what = format!("the journal {} cannot be kept: {error}", path.display());
            let fix = "make the folder of entra.state writable for this user";
            Trouble::new("V-ENT-008", Class::Unexpected, what, fix)
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        if file.try_lock().is_err() {
            let what = format!("another vestibule entra works with {}", path.display());
            let fix = "wait until it has ended";
            return Err(Trouble::new("V-ENT-008", Class::Refused, what, fix));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let entries = read(&path, &text)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A line that was cut off: the next one must not be put behind it.
            let whole = text.rfind('\n').map_or(0, |at| at + 1);
            file.set_len(whole as u64).map_err(failed)?;
            file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        Ok(Self {
            file: Some(file),
            entries,
            run: run_id(world),
            world: world.clone(),
        })
    }

    /// Reads the journal in `folder`, if there is one; what is written afterwards is forgotten.
    ///
    /// # Errors
    /// [`Trouble`]: a line says nothing, or it cannot be read.
    pub fn look(folder: &Path, world: &World) -> Result<Self, Trouble> {
        let path = folder.join("journal.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let what = format!("the journal {} cannot be read: {error}", path.display());
                let fix = "run this as the user who runs vestibule entra apply";
                return Err(Trouble::new("V-ENT-008", Class::Unexpected, what, fix));
            }
        };
        Ok(Self {
            file: None,
            entries: read(&path, &text)?,
            run: run_id(world),
            world: world.clone(),
        })
    }

    /// What this run is called.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// All that it says.
    pub fn known(&self) -> Known {
        Known::of(&self.entries)
    }

    /// Writes a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn write(&mut self, step: Step, did: Did) -> Result<(), Trouble> {
        let entry = Entry {
            time: self.world.now(),
            run: self.run.clone(),
            step,
            did,
        };
        let failed = |what: String| {
            let fix = "make room on the disk; what was done is done, and the next run finds it";
            let what = format!("the journal cannot be written: {what}");
            Trouble::new("V-ENT-008", Class::Unexpected, what, fix)
        };
        let mut line = serde_json::to_value(&entry).map_err(|error| failed(error.to_string()))?;
        // For whoever reads the file.
        line["at"] = moment(entry.time).into();
        let line = format!("{line}\n");
        if let Some(file) = &mut self.file {
            file.write_all(line.as_bytes())
                .and_then(|()| file.sync_data())
                .map_err(|error| failed(error.to_string()))?;
        }
        self.entries.push(entry);
        Ok(())
    }
}

fn read(path: &Path, text: &str) -> Result<Vec<Entry>, Trouble> {
    journal::read(text).map_err(|line| {
        let what = format!("line {line} of {} says nothing", path.display());
        let fix = "put back what was there, or move the file away and run vestibule entra adopt --app-id ID";
        Trouble::new("V-ENT-008", Class::Unexpected, what, fix)
    })
}

/// By time, so that runs sort; with something random, so that two are never the same.
fn run_id(world: &World) -> String {
    let when: String = moment(world.now())
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let (day, time) = when.split_at(when.len().min(8));
    let [a, b] = world.random::<2>();
    format!("{day}-{time}-{a:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_4_a_line_that_was_cut_off_is_not_built_upon() {
        let folder = tempfile::tempdir().expect("a folder");
        let world = World::real();
        let mut first = Journal::open(folder.path(), &world).expect("opened");
        first
            .write(Step::Principal, Did::AddingPrincipal)
            .expect("written");
        let path = folder.path().join("journal.jsonl");
        let second = Journal::open(folder.path(), &world).expect_err("two at once");
        assert_eq!(second.code, "V-ENT-008");
        drop(first);
        let mut file = OpenOptions::new().append(true).open(&path).expect("opened");
        file.write_all(b"{\"time\":17").expect("written");
        drop(file);
        let mut again = Journal::open(folder.path(), &world).expect("opened");
        assert!(again.known().principal);
        again.write(Step::Retire, Did::LetGo).expect("written");
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.lines()
                .all(|line| line.contains("\"at\":\"20") && line.contains("\"run\":"))
        );
        assert!(!text.contains("17{"), "{text}");
    }
}
