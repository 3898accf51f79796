//! The same requests for callers that block: one at a time, or given out to be made side by side.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::address::Address;
use super::beside::Beside;
use super::error::Result;
use super::http::{Patience, Requests};
use super::lanes::{self, Giver};
use super::objects::{Content, Headers, Object};
use super::parts::Unended;
use super::sign::Credentials;
use crate::context::Context;

/// A bucket. Its calls block, and have to be made outside of the runtime that they use. Each is one of [`Requests`], where it is
/// explained.
pub struct Bucket {
    requests: Requests,
    runtime: Handle,
}

/// The content of an object, as it arrives.
pub struct Source {
    content: Content,
    runtime: Handle,
    rest: Bytes,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.content.next())? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        let now = self.rest.split_to(count);
        if let Some(place) = buffer.get_mut(..count) {
            place.copy_from_slice(&now);
        }
        Ok(count)
    }
}

impl Bucket {
    /// Makes ready; nothing is asked yet.
    ///
    /// # Errors
    /// TLS cannot be made ready.
    pub fn open(address: &Address, who: Credentials, runtime: Handle, cx: &Context) -> Result<Self> {
        let requests = Requests::open(address, who, cx)?;
        Ok(Self { requests, runtime })
    }

    /// The same, which is waited for so long, from now on.
    #[must_use]
    pub fn with(self, patience: Patience) -> Self {
        Self {
            requests: self.requests.with(patience),
            runtime: self.runtime,
        }
    }

    /// The requests themselves, for what is done side by side.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Lets `give` hand out work that `act` does side by side, each piece by requests of its own, as many at once as this storage
    /// bears; what comes of it is taken in the order in which it was given. `lost` stands for what a bug took. What an act does
    /// between its requests has to be short. Once `give` has returned nothing more is begun, and what was begun is waited for.
    pub fn side_by_side<J: Send, T: Send, R>(
        &self,
        act: &(impl AsyncFn(J) -> T + Sync),
        lost: &dyn Fn() -> T,
        give: impl FnOnce(&Giver<'_, J, T>) -> R,
    ) -> R {
        lanes::side_by_side(&self.runtime, act, lost, give)
    }

    /// [`Requests::put`].
    ///
    /// # Errors
    /// As there.
    pub fn put(&self, key: &str, body: &[u8]) -> Result<()> {
        let body = Bytes::copy_from_slice(body);
        self.runtime.block_on(self.requests.put(key, body))
    }

    /// [`Requests::put_new`].
    ///
    /// # Errors
    /// As there.
    pub fn put_new(&self, key: &str, body: &[u8]) -> Result<bool> {
        let body = Bytes::copy_from_slice(body);
        self.runtime.block_on(self.requests.put_new(key, body))
    }

    /// [`Requests::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.runtime.block_on(self.requests.get(key))
    }

    /// [`Requests::names`].
    ///
    /// # Errors
    /// As there.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        self.runtime.block_on(self.requests.names(prefix))
    }

    /// [`Requests::listed`].
    ///
    /// # Errors
    /// As there.
    pub fn listed(&self, prefix: &str) -> Result<Vec<Object>> {
        self.runtime.block_on(self.requests.listed(prefix))
    }

    /// [`Requests::list`].
    ///
    /// # Errors
    /// As there.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.runtime.block_on(self.requests.list(prefix))
    }

    /// [`Requests::look`].
    ///
    /// # Errors
    /// As there.
    pub fn look(&self, key: &str) -> Result<Option<Object>> {
        self.runtime.block_on(self.requests.look(key))
    }

    /// [`Requests::is_gone`].
    ///
    /// # Errors
    /// As there.
    pub fn is_gone(&self, key: &str) -> Result<()> {
        self.runtime.block_on(self.requests.is_gone(key))
    }

    /// [`Requests::open_object`]: its headers, its mark, and what comes.
    ///
    /// # Errors
    /// As there.
    pub fn open_object(&self, object: &Object) -> Result<Option<(Headers, String, Source)>> {
        let opened = self.runtime.block_on(self.requests.open_object(object))?;
        Ok(opened.map(|opened| {
            let source = Source {
                content: opened.content,
                runtime: self.runtime.clone(),
                rest: Bytes::new(),
            };
            (opened.headers, opened.etag, source)
        }))
    }

    /// [`Requests::put_object`].
    ///
    /// # Errors
    /// As there.
    pub fn put_object(&self, key: &str, headers: &[(String, String)], file: &File, size: u64) -> Result<()> {
        self.runtime
            .block_on(self.requests.put_object(key, headers, file, size))
    }

    /// [`Requests::copy_object`].
    ///
    /// # Errors
    /// As there.
    pub fn copy_object(&self, from: &str, size: u64, to: &str) -> Result<()> {
        self.runtime.block_on(self.requests.copy_object(from, size, to))
    }

    /// [`Requests::remove_object`].
    ///
    /// # Errors
    /// As there.
    pub fn remove_object(&self, key: &str) -> Result<()> {
        self.runtime.block_on(self.requests.remove_object(key))
    }

    /// [`Requests::end_upload`].
    ///
    /// # Errors
    /// As there.
    pub fn end_upload(&self, key: &str, id: &str) -> Result<()> {
        self.runtime.block_on(self.requests.end_upload(key, id))
    }

    /// [`Requests::unended`].
    ///
    /// # Errors
    /// As there.
    pub fn unended(&self, prefix: &str) -> Result<Option<Vec<Unended>>> {
        self.runtime.block_on(self.requests.unended(prefix))
    }

    /// [`Requests::beside`].
    #[must_use]
    pub fn beside(&self, key: &str) -> Beside {
        self.runtime.block_on(self.requests.beside(key))
    }

    /// [`Requests::keeps_versions`].
    #[must_use]
    pub fn keeps_versions(&self) -> bool {
        self.runtime.block_on(self.requests.keeps_versions())
    }
}
