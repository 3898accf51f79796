//! Abilities that tell where a resource is, which release is live in it, and what has to run or be stopped around it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Result;
use crate::held::Held;
use guard_model::artifact::Prepared;
use guard_model::foreign::Naming;
use guard_system::context::Context;

/// It has names that tell it from every other thing, or paths of its own. Both are cheap and only read.
///
/// Asked for the locks of every run, by `guard check`, and for the manifest of a backup.
pub trait Location {
    /// Its names, each of which tells it from every other thing: `file /srv/app/app.db`, `volume shop_data`,
    /// `cluster 7312…, database shop`. Two resources that share one are the same thing; the first name is the one that
    /// changes least. Empty where it cannot be told now, and for what may lie anywhere, as a checkout.
    fn identity(&self, cx: &Context) -> Vec<String> {
        let _ = cx;
        Vec::new()
    }

    /// The paths of this host that it consists of, absolute: two runs that share one, or of which one lies in the other's,
    /// keep each other waiting.
    fn grounds(&self, cx: &Context) -> Vec<PathBuf> {
        let _ = cx;
        Vec::new()
    }
}

/// It needs services to run, or to be stopped. Names are those of Compose services.
///
/// Asked by the steps that prepare, stop services, restore and undo; by `guard check`.
pub trait ServiceNeeds {
    /// The services that this resource needs running while it is copied and put back: a database's own.
    fn needs_running(&self) -> Vec<String> {
        Vec::new()
    }

    /// The services whose containers going back replaces: until then they may still write, so they are stopped.
    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        let _ = prepared;
        Vec::new()
    }

    /// The services that have to be stopped before a restore or its undo: the server whose files are replaced.
    fn stops(&self) -> Vec<String> {
        Vec::new()
    }

    /// The Docker volumes and host paths whose users have to be stopped before a restore.
    fn occupies(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Guards on other hosts can be kept away from it.
///
/// Asked for the locks of every run.
pub trait Exclusion {
    /// Keeps guards on any host from this resource while what is returned lives; they are told 63 bytes of `holder`.
    ///
    /// # Errors
    /// It cannot be asked.
    fn hold(&self, holder: &str, cx: &Context) -> Result<Held>;
}

/// One release can be told from another.
///
/// Asked by the steps that deploy and prepare, by `guard rollback`, and for the manifest of a backup.
pub trait Releases {
    /// Which release is live, part by part, in words that differ exactly when another one is: by this somebody else's
    /// deployment is noticed. A part that does not run is left out: that it has died says nothing of who deployed.
    ///
    /// # Errors
    /// It cannot be read.
    fn live_release(&self, cx: &Context) -> Result<BTreeMap<String, String>>;

    /// Which release is live, for people who choose a backup: `1a2b3c4 Fix the basket (v1.4.1)`, `app shop/app:1.4.1`. Empty
    /// where there is none.
    fn shown_release(&self, cx: &Context) -> Vec<String>;

    /// The release of this name: a tag, a branch or a commit, or the name of an image that says which commit it was built from.
    ///
    /// # Errors
    /// It cannot be looked for.
    fn release_called(&self, name: &str, cx: &Context) -> Result<Naming> {
        let _ = (name, cx);
        Ok(Naming::Unknown(Vec::new()))
    }
}
