//! All processes of one start, found in `/proc`.
//!
//! A process belongs to a start when it is in the start's process group, carries its marker in the
//! environment that it was executed with, is the child of one that belongs, or was seen to belong
//! before. Each alone has a hole: a group is left by `setsid`, the marker is wiped by a program that
//! clears its environment or writes its title over it (Python's `setproctitle`, unless told not to),
//! and a child loses its parent when that dies. A process that does all three before it is first
//! seen is not found.
//!
//! Where there is no `/proc` nothing is found, and only the group is stopped.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::marker::Marker;

/// The processes of one start.
#[derive(Debug)]
pub(super) struct Tree {
    marker: Vec<u8>,
    group: i32,
    /// Processes that were seen to belong: id and time of start, because ids are used again.
    known: HashMap<i32, u64>,
}

/// A process that lives and belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: i32,
    started: u64,
    /// Whether it is still in the process group.
    pub(super) in_group: bool,
}

/// What `/proc/<pid>/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    parent: i32,
    group: i32,
    started: u64,
    /// Ended, and only waiting for its parent to notice.
    dead: bool,
}

impl Tree {
    /// The tree whose processes carry `marker`, or are in the group of the process `group`.
    pub(super) fn new(marker: &Marker, group: i32) -> Self {
        Self { marker: marker.assignment().into_bytes(), group, known: HashMap::new() }
    }

    /// Whether processes can be looked at here at all.
    pub(super) fn is_visible() -> bool {
        Path::new("/proc/self/stat").exists()
    }

    /// The members that live at this moment.
    pub(super) fn look(&self) -> Vec<Member> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let stats: Vec<Stat> = all_stats().into_iter().filter(|stat| stat.pid != own).collect();
        let mut members: HashSet<i32> = HashSet::new();
        for stat in &stats {
            let known = self.known.get(&stat.pid) == Some(&stat.started);
            if stat.group == self.group || known || self.is_marked(stat.pid) {
                members.insert(stat.pid);
            }
        }
        loop {
            let before = members.len();
            for stat in &stats {
                if members.contains(&stat.parent) {
                    members.insert(stat.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        stats
            .iter()
            .filter(|stat| members.contains(&stat.pid) && !stat.dead)
            .map(|stat| Member {
                pid: stat.pid,
                started: stat.started,
                in_group: stat.group == self.group,
            })
            .collect()
    }

    /// The members that live at this moment, known from now on whatever they do.
    pub(super) fn remember(&mut self) -> Vec<Member> {
        let members = self.look();
        self.known.extend(members.iter().map(|member| (member.pid, member.started)));
        members
    }

    fn is_marked(&self, pid: i32) -> bool {
        // Not readable for processes of other users; ours belong to the same user.
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|bytes| bytes.split(|&b| b == 0).any(|entry| entry == self.marker))
    }
}

fn all_stats() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

impl Stat {
    /// The name stands in parentheses and may hold anything, parentheses included.
    fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (head, rest) = line.rsplit_once(") ")?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        // state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime
        // cstime priority nice threads itrealvalue starttime
        let fields: Vec<&str> = rest.split(' ').collect();
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            dead: matches!(*fields.first()?, "Z" | "X"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"42 (a) Z 1 (b) S 7 9 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2";
        let stat = Stat { pid: 42, parent: 7, group: 9, started: 123_456, dead: false };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse(b""), None);
        assert_eq!(Stat::parse(b"42 (a) S 7"), None);
    }

    #[test]
    fn the_marked_are_found_and_the_others_are_not() {
        if !Tree::is_visible() {
            println!("SKIP: there is no /proc here");
            return;
        }
        let marker = Marker::new();
        let sleeper = |marked: bool| {
            let mut command = Command::new("sleep");
            command.arg("1000").stdin(Stdio::null()).env_remove(super::super::marker::VARIABLE);
            if marked {
                command.env(super::super::marker::VARIABLE, marker.value());
            }
            command.spawn().unwrap()
        };
        let (mut marked, mut other) = (sleeper(true), sleeper(false));
        // A group that nobody is in.
        let tree = Tree::new(&marker, i32::MAX);
        let found: Vec<_> = tree.look().iter().map(|member| member.pid).collect();
        let ended = (marked.kill(), other.kill());
        assert_eq!(found, [i32::try_from(marked.id()).unwrap()]);
        assert!(ended.0.is_ok() && ended.1.is_ok());
        // Dead and not waited for: no longer a member.
        let _ = (Command::new("true").status(), other.wait());
        while !Stat::parse(&fs::read(format!("/proc/{}/stat", marked.id())).unwrap()).unwrap().dead
        {
            std::thread::yield_now();
        }
        assert_eq!(tree.look(), []);
        marked.wait().unwrap();
    }
}
