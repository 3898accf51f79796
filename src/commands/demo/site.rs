//! The demo's service: a small web server on this machine alone, with the faults of its releases.

use std::time::Duration;

use rusqlite::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::project::{Answer, Place, rows};
use super::releases::Description;
use guard_system::detached;
use guard_system::stop::Stop;

/// What the service is called among processes.
const NAME: &str = "demo-service";
/// How often it looks whether it is still wanted.
const PAUSE: Duration = Duration::from_millis(200);
/// A client says all that it has to say within this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is read of a request.
const REQUEST: usize = 4096;

struct Site {
    place: Place,
    release: Description,
    title: String,
    database: Connection,
}

/// What a request leads to.
enum Reply {
    Body(String),
    NotFound,
    Stop,
}

/// Serves until it is told to stop, or its project is gone: nothing of the demo may be left over.
pub(super) async fn serve(place: &Place, stop: &Stop) -> Answer<()> {
    let release: Description = serde_json::from_str(&std::fs::read_to_string(place.release_file())?)?;
    let title = place.settings()?.get("TITLE").cloned().ok_or("no TITLE in .env")?;
    let port = place.port()?;
    let site = Site {
        database: place.database()?,
        place: place.clone(),
        release,
        title,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    detached::ready("listens", NAME)?;
    let begun = Instant::now();
    let mut tidy_after = site.release.tidy_after.map(Duration::from_secs);
    while !stop.is_asked() && place.directory.is_dir() {
        if tidy_after.is_some_and(|after| begun.elapsed() >= after) {
            tidy_after = None;
            site.tidy()?;
        }
        let Ok(accepted) = timeout(PAUSE, listener.accept()).await else {
            continue;
        };
        // A client that goes away in the middle is no matter of the others.
        if let Ok(Ok(true)) = timeout(PATIENCE, site.converse(accepted?.0)).await {
            break;
        }
    }
    Ok(())
}

impl Site {
    /// Answers one request, and returns whether it asked the service to stop.
    async fn converse(&self, mut stream: TcpStream) -> Answer<bool> {
        let mut request = Vec::new();
        let mut chunk = [0; 512];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST {
            match stream.read(&mut chunk).await? {
                0 => break,
                length => request.extend_from_slice(chunk.get(..length).unwrap_or_default()),
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let mut words = request.lines().next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, body, stops) = match self.respond(method, target) {
            Ok(Reply::Body(body)) => ("200 OK", body, false),
            Ok(Reply::NotFound) => ("404 Not Found", "there is nothing here".to_owned(), false),
            Ok(Reply::Stop) => ("200 OK", "stopping".to_owned(), true),
            Err(error) => ("500 Internal Server Error", error.to_string(), false),
        };
        let length = body.len() + 1;
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}\n"
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        Ok(stops)
    }

    fn respond(&self, method: &str, target: &str) -> Answer<Reply> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(match (method, path) {
            ("GET", "/") => Reply::Body(format!("{} from {}", self.release.greeting, self.title)),
            ("GET", "/version") => Reply::Body(self.release.version.clone()),
            ("GET", "/health") => {
                let users = self.users()?.len();
                Reply::Body(format!("{} is well: {users} users", self.release.version))
            }
            ("POST", "/users") => Reply::Body(self.add(query.strip_prefix("name=").ok_or("no name")?)?),
            ("POST", "/stop") => Reply::Stop,
            _ => Reply::NotFound,
        })
    }

    /// The users, each with a picture: without it the page cannot be shown.
    fn users(&self) -> Answer<Vec<String>> {
        let columns = self.release.columns.join(", ");
        let users = rows(&self.database, &format!("SELECT id, {columns} FROM users ORDER BY id"))?;
        let line = |row: Vec<String>| -> Answer<String> {
            let id = row.first().map(String::as_str).unwrap_or_default();
            std::fs::metadata(self.place.pictures().join(format!("user-{id}.svg")))
                .map_err(|error| format!("the picture of user {id} is not there: {error}"))?;
            Ok(row.join(" "))
        };
        users.into_iter().map(line).collect()
    }

    fn add(&self, name: &str) -> Answer<String> {
        self.database.execute("INSERT INTO users (name) VALUES (?1)", [name])?;
        let id = self.database.last_insert_rowid();
        let picture = format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><title>{name}</title></svg>\n");
        guard_system::disk::write_whole(
            &self.place.pictures().join(format!("user-{id}.svg")),
            picture.as_bytes(),
        )?;
        Ok(format!("{name} is user {id}"))
    }

    /// The fault of the bad release: it takes the users' pictures for left-overs.
    fn tidy(&self) -> Answer<()> {
        for entry in std::fs::read_dir(self.place.pictures())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("user-") {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Sends one request to the service of a project, and returns the body of its answer.
pub(super) async fn ask(port: u16, method: &str, path: &str) -> Answer<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is cut off")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('2') {
            return Ok(body.trim_end().to_owned());
        }
        Err(format!("{method} {path} answers {status}: {}", body.trim_end()).into())
    };
    timeout(PATIENCE, exchange).await?
}
