//! The table of servers whose data directory is no plain directory: how each is known, and what a copy of it takes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::disk::{self, DiskError};
use guard_model::text::sanitised;

/// What a copy of a server's directory takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A kind of resource of its own, the key of which this is; stopped, its directory can be copied as well.
    Kind(&'static str),
    /// The server has to be stopped while its directory is copied.
    Stop,
    /// Its directory can be copied while it runs, as it writes whole files; the kind of this key does it better.
    Nothing(&'static str),
}

/// A server that keeps its data in a directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    /// What people call it.
    pub name: &'static str,
    /// Words of which one is in the name of its image.
    pub images: &'static [&'static str],
    /// The names of its processes.
    pub processes: &'static [&'static str],
    /// Entries of its directory: all of one of these sets. `*` stands for the rest of a name.
    signs: &'static [&'static [&'static str]],
    /// What a copy takes.
    pub need: Need,
    /// Keys or rows are only in its memory until it saves: to freeze it is not enough either.
    pub is_in_memory: bool,
    /// What its own tools offer, for advice; may be empty.
    pub own_way: &'static str,
}

/// All of them, the particular before the general: what embeds a store of another one's form comes first.
pub const SERVERS: &[Server] = &[
    Server {
        name: "Postgres",
        images: &["postgres", "postgis", "timescale", "pgvector"],
        processes: &["postgres"],
        signs: &[&["PG_VERSION"], &["pg_wal"]],
        need: Need::Kind("postgres"),
        is_in_memory: false,
        own_way: "",
    },
    Server {
        name: "MySQL or MariaDB",
        images: &["mariadb", "mysql", "percona"],
        processes: &["mariadbd", "mysqld"],
        signs: &[&["ibdata1"], &["aria_log_control"], &["mysql.ibd"]],
        need: Need::Kind("mariadb"),
        is_in_memory: false,
        own_way: "",
    },
    Server {
        name: "Redis or Valkey",
        images: &["redis", "valkey", "keydb", "dragonfly"],
        processes: &["redis-server", "valkey-server", "keydb-server"],
        signs: &[
            &["dump.rdb"],
            &["appendonlydir"],
            &["appendonly.aof"],
            &["nodes.conf", "*.rdb"],
        ],
        need: Need::Kind("redis"),
        is_in_memory: true,
        own_way: "",
    },
    Server {
        name: "MongoDB",
        images: &["mongo"],
        processes: &["mongod"],
        signs: &[&["WiredTiger"], &["storage.bson"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`mongodump --oplog`",
    },
    Server {
        name: "etcd",
        images: &["etcd"],
        processes: &["etcd"],
        signs: &[&["member/wal"], &["member/snap"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`etcdctl snapshot save`",
    },
    Server {
        name: "RabbitMQ",
        images: &["rabbitmq"],
        processes: &["beam.smp"],
        signs: &[
            &["msg_stores"],
            &["schema.DAT"],
            &["rabbit_serial"],
            &["coordination", "quorum"],
        ],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`rabbitmqctl export_definitions` for what is declared, not for the messages",
    },
    Server {
        name: "Elasticsearch or OpenSearch",
        images: &["elasticsearch", "opensearch"],
        processes: &[],
        signs: &[&["nodes/0"], &["_state", "indices"], &["_state", "node.lock"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "a snapshot repository",
    },
    Server {
        name: "InfluxDB",
        images: &["influxdb"],
        processes: &["influxd"],
        signs: &[&["influxd.bolt"], &["meta/meta.db"], &["engine/data", "engine/wal"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`influx backup`, or `influxd backup -portable`",
    },
    Server {
        name: "ClickHouse",
        images: &["clickhouse"],
        processes: &["clickhouse-server", "clickhouse-serv"],
        signs: &[
            &["metadata/*.sql", "store"],
            &["metadata/*.sql", "data"],
            &["metadata", "preprocessed_configs"],
            &["metadata", "format_schemas"],
        ],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`BACKUP DATABASE`",
    },
    Server {
        name: "Prometheus",
        images: &["prometheus"],
        processes: &["prometheus"],
        signs: &[&["chunks_head"], &["queries.active"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "a snapshot by its admin API",
    },
    Server {
        name: "MinIO",
        images: &["minio"],
        processes: &["minio"],
        signs: &[&[".minio.sys"]],
        need: Need::Nothing("s3"),
        is_in_memory: false,
        own_way: "",
    },
    Server {
        name: "Cassandra or ScyllaDB",
        images: &["cassandra", "scylla"],
        processes: &[],
        signs: &[&["commitlog", "data"], &["commitlog", "saved_caches"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`nodetool snapshot`",
    },
    Server {
        name: "Neo4j",
        images: &["neo4j"],
        processes: &[],
        signs: &[&["databases", "transactions"], &["databases/neo4j"], &["neostore"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`neo4j-admin database dump`",
    },
    Server {
        name: "Kafka",
        images: &["kafka", "redpanda"],
        processes: &[],
        signs: &[
            &["meta.properties", "recovery-point-offset-checkpoint"],
            &["meta.properties", "__cluster_metadata-0"],
        ],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "",
    },
    Server {
        name: "ZooKeeper",
        images: &["zookeeper"],
        processes: &[],
        signs: &[&["version-2/log.*"], &["version-2/snapshot.*"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "",
    },
    Server {
        name: "CouchDB",
        images: &["couchdb"],
        processes: &[],
        signs: &[&["_dbs.couch"], &["shards", "_nodes.couch"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "replication",
    },
    Server {
        name: "LMDB",
        images: &[],
        processes: &["slapd"],
        signs: &[&["data.mdb"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "`mdb_copy`",
    },
    Server {
        name: "RocksDB or LevelDB",
        images: &[],
        processes: &[],
        signs: &[&["CURRENT", "MANIFEST-*"]],
        need: Need::Stop,
        is_in_memory: false,
        own_way: "a checkpoint by the application",
    },
];

impl Server {
    /// Whether a copy taken while it runs is none.
    #[must_use]
    pub fn is_torn_by_a_live_copy(&self) -> bool {
        !matches!(self.need, Need::Nothing(_))
    }

    /// The server of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVERS.iter().find(|server| server.name == name)
    }

    /// The server that an image of this name runs; an exporter or a client is none.
    #[must_use]
    pub fn of_image(image: &str) -> Option<&'static Self> {
        const OTHERS: [&str; 13] = [
            "exporter",
            "backup",
            "admin",
            "client",
            "bouncer",
            "router",
            "express",
            "commander",
            "insight",
            "-ui",
            "sentinel",
            "kibana",
            "dashboard",
        ];
        let image = image.to_ascii_lowercase();
        if OTHERS.iter().any(|word| image.contains(word)) {
            return None;
        }
        let is_named = |server: &&Self| server.images.iter().any(|word| image.contains(word));
        SERVERS.iter().find(is_named)
    }

    /// The server whose process has this name.
    #[must_use]
    pub fn of_process(name: &str) -> Option<&'static Self> {
        SERVERS.iter().find(|server| server.processes.contains(&name))
    }

    /// The server whose data directory this is, or holds within `depth` levels, and where that directory is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn in_directory(directory: &Path, depth: u32) -> Result<Option<(&'static Self, PathBuf)>, DiskError> {
        if let Some(server) = SERVERS.iter().find(|server| server.owns(directory)) {
            return Ok(Some((server, directory.to_owned())));
        }
        if depth == 0 {
            return Ok(None);
        }
        for path in disk::directories(directory)? {
            if let Some(found) = Self::in_directory(&path, depth - 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn owns(&self, directory: &Path) -> bool {
        self.signs.iter().any(|set| set.iter().all(|sign| has(directory, sign)))
    }

    /// What to do instead of copying its directory while it runs.
    #[must_use]
    pub fn advice(&self) -> String {
        let own_way = if self.own_way.is_empty() {
            String::new()
        } else {
            format!(", or copy what {} makes before the deployment", self.own_way)
        };
        match self.need {
            Need::Kind(kind) => format!("use the database's own kind (`kind = {kind:?}`), or set `mode = \"stop\"`"),
            Need::Stop => format!("set `mode = \"stop\"`, which stops its container while it is copied{own_way}"),
            Need::Nothing(kind) => format!("`kind = {kind:?}` copies and compares object by object"),
        }
    }
}

/// Whether a directory has an entry of this path; `*` ends a name of which only the beginning is known, or begins one.
fn has(directory: &Path, sign: &str) -> bool {
    let Some((before, after)) = sign.split_once('*') else {
        // What cannot be looked at tells for itself when it is copied.
        return disk::exists(&directory.join(sign)).unwrap_or(false);
    };
    let (parent, before) = before
        .rsplit_once('/')
        .map_or((directory.to_owned(), before), |(parent, name)| {
            (directory.join(parent), name)
        });
    let names = disk::list(&parent).unwrap_or_default();
    names.iter().any(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    })
}

/// A process of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub pid: u32,
    /// Its name, of which the kernel keeps 15 bytes.
    pub name: String,
    /// It holds a file there open, and does not only work in the directory.
    pub has_open: bool,
}

impl User {
    /// Its name and number: `python3 (pid 4711)`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} (pid {})", sanitised(&self.name), self.pid)
    }

    /// Whether it runs in a container, by the name of its control group.
    #[must_use]
    pub fn is_in_container(&self) -> bool {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).unwrap_or_default();
        let is_id = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        groups.split(|c: char| !c.is_ascii_alphanumeric()).any(is_id)
    }
}

/// The processes that have a directory or something below it open, or work in it, as far as this user may see them; guard's own
/// is left out.
#[must_use]
pub fn users_of(directory: &Path) -> Vec<User> {
    let held = |link: &Path| std::fs::read_link(link).is_ok_and(|path| path.starts_with(directory));
    processes(|process, open| {
        let has_open = open.iter().any(|link| held(link));
        (has_open || held(&process.join("cwd"))).then_some(has_open)
    })
}

/// Those of them that have a file there open for writing.
#[must_use]
pub fn writers_in(directory: &Path) -> Vec<User> {
    let writes = |link: &PathBuf| {
        let is_there = std::fs::read_link(link).is_ok_and(|path| path.starts_with(directory));
        is_there && is_for_writing(link)
    };
    processes(|_, open| open.iter().any(writes).then_some(true))
}

/// Whether an open file of a process, by its link below `/proc`, is open for writing; also where that is not told.
fn is_for_writing(link: &Path) -> bool {
    let info = link
        .parent()
        .and_then(Path::parent)
        .zip(link.file_name())
        .map(|(process, number)| process.join("fdinfo").join(number));
    let text = info.and_then(|info| std::fs::read_to_string(info).ok());
    let flags = text.as_deref().and_then(|text| {
        let told = text.lines().find_map(|one| one.strip_prefix("flags:"))?;
        u32::from_str_radix(told.trim(), 8).ok()
    });
    // The lowest two bits: 0 is for reading only.
    flags.is_none_or(|flags| flags & 3 != 0)
}

/// The processes that have one of these files open, under whatever name: one that was renamed stays the file that it was.
#[must_use]
pub fn holders_of(files: &[PathBuf]) -> Vec<User> {
    let number = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let wanted: Vec<_> = files.iter().filter_map(|file| number(file)).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let is_one = |link: &PathBuf| number(link).is_some_and(|found| wanted.contains(&found));
    processes(|_, open| open.iter().any(is_one).then_some(true))
}

/// Whether a process, by its directory below `/proc`, was made by this one and has not become another program yet.
fn is_being_started(process: &Path, own: u32) -> bool {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let program = |process: &Path| std::fs::read_link(process.join("exe")).ok();
    let is_child = parent.is_some_and(|parent| parent.trim().parse() == Ok(own));
    is_child && program(process).is_some_and(|one| Some(one) == program(Path::new("/proc/self")))
}

/// The processes of this host of which `look` says, by their directory below `/proc` and their open files, that they use
/// something, and whether they have it open.
fn processes(look: impl Fn(&Path, &[PathBuf]) -> Option<bool>) -> Vec<User> {
    let mut users = Vec::new();
    let own = std::process::id();
    for entry in disk::list(Path::new("/proc")).unwrap_or_default() {
        let Some(pid) = entry.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else {
            continue;
        };
        if pid == own {
            continue;
        }
        let used = || {
            let open = std::fs::read_dir(entry.join("fd")).into_iter().flatten().flatten();
            let open: Vec<PathBuf> = open.map(|one| one.path()).collect();
            look(&entry, &open)
        };
        // A program that guard is just starting is guard itself for a moment, with all that guard has open. Behind that moment it
        // has nothing of it any more: the second look is the one that counts.
        if used().is_none() || is_being_started(&entry, own) {
            continue;
        }
        if let Some(has_open) = used() {
            // One that has ended meanwhile has no name any more, and uses nothing.
            if let Ok(name) = std::fs::read_to_string(entry.join("comm")) {
                let name = name.trim_end().to_owned();
                users.push(User { pid, name, has_open });
            }
        }
    }
    users
}
