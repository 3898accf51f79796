//! `mail`: a plain message to an SMTP server, over TLS unless the server is this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

use super::way::{Kind, Trouble, Way};
use super::words;
use guard_model::notice::Notice;
use guard_model::section::Section;
use guard_model::text::{chain, sanitised, shortened};
use guard_system::context::Context;
use guard_system::disk;

pub(super) const KIND: Kind = Kind {
    key: "mail",
    about: "a plain mail through an SMTP server",
    build,
};

/// How long the server may take for one of its answers; the whole is bounded by the notifier.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone)]
struct Mail {
    server: String,
    port: u16,
    security: Security,
    user: Option<String>,
    password_env: Option<String>,
    ca_file: Option<PathBuf>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// How the connection is made safe.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after a greeting; without it nothing is sent.
    StartTls,
    /// None; only to this machine itself.
    None,
}

fn build(section: &mut Section<'_>) -> Option<Arc<dyn Way>> {
    let server = section.required_text("server")?;
    let choices = [
        ("tls", Security::Tls),
        ("starttls", Security::StartTls),
        ("none", Security::None),
    ];
    let security = section.choice("security", &choices).unwrap_or(Security::Tls);
    let usual = match security {
        Security::Tls => 465,
        Security::StartTls => 587,
        Security::None => 25,
    };
    let port = section
        .whole("port", 1..=65535)
        .and_then(|port| u16::try_from(port).ok());
    let (user, password_env) = (section.text("user"), section.text("password_env"));
    let ca_file = section.path("ca_file");
    let is_here = matches!(server.as_str(), "localhost" | "127.0.0.1" | "::1");
    if security == Security::None && !is_here {
        section.problem(
            "security",
            "mail without TLS goes to this machine only",
            Some("`tls` or `starttls`".to_owned()),
        );
        return None;
    }
    if user.is_some() != password_env.is_some() {
        section.problem("user", "`user` and `password_env` belong together", None);
        return None;
    }
    let from = section
        .required_text("from")
        .and_then(|text| mailbox(section, "from", &text));
    let to = section.texts("to").unwrap_or_default();
    if to.is_empty() {
        section.problem("to", "names nobody", Some("one address, or a list of them".to_owned()));
        return None;
    }
    let to: Option<Vec<Mailbox>> = to.iter().map(|text| mailbox(section, "to", text)).collect();
    Some(Arc::new(Mail {
        server,
        port: port.unwrap_or(usual),
        security,
        user,
        password_env,
        ca_file,
        from: from?,
        to: to?,
    }))
}

fn mailbox(section: &mut Section<'_>, key: &str, text: &str) -> Option<Mailbox> {
    let parsed = text.parse();
    if parsed.is_err() {
        let hint = Some("`ops@example.org`, or `Ops <ops@example.org>`".to_owned());
        section.problem(key, format!("{text:?} is not an address"), hint);
    }
    parsed.ok()
}

#[async_trait]
impl Way for Mail {
    async fn tell(&self, notice: &Notice, cx: &Context) -> Result<(), Trouble> {
        let (mail, notice, cx) = (self.clone(), notice.clone(), cx.clone());
        let sent = tokio::task::spawn_blocking(move || mail.send(&notice, &cx)).await;
        sent.unwrap_or_else(|_| Err(Trouble::lasting("the mail broke off")))
    }

    fn describe(&self) -> String {
        let to: Vec<String> = self.to.iter().map(|to| to.email.to_string()).collect();
        format!("mail to {} by {}", to.join(", "), self.server)
    }
}

impl Mail {
    fn send(&self, notice: &Notice, cx: &Context) -> Result<(), Trouble> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(words::subject(notice))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message
            .body(words::body(notice))
            .map_err(|error| Trouble::lasting(error.to_string()))?;
        let transport = self.transport(cx)?;
        transport.send(&message).map(|_| ()).map_err(|error| Trouble {
            is_lasting: error.is_permanent() || error.is_client(),
            why: shortened(&sanitised(&cx.redaction.clean(&chain(&error))), 160),
        })
    }

    fn transport(&self, cx: &Context) -> Result<SmtpTransport, Trouble> {
        // Another part of the process may have chosen already; both are the same provider.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let tls = match self.security {
            Security::None => Tls::None,
            Security::Tls => Tls::Wrapper(self.parameters(cx)?),
            Security::StartTls => Tls::Required(self.parameters(cx)?),
        };
        let mut builder = SmtpTransport::builder_dangerous(&self.server)
            .port(self.port)
            .timeout(Some(PATIENCE))
            .tls(tls);
        if let (Some(user), Some(name)) = (&self.user, &self.password_env) {
            let missing = || Trouble::lasting(format!("the variable {name} is not set"));
            let password = cx.environment.text(name).ok_or_else(missing)?;
            cx.redaction.learn(password);
            builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
        }
        Ok(builder.build())
    }

    fn parameters(&self, cx: &Context) -> Result<TlsParameters, Trouble> {
        let mut builder = TlsParameters::builder(self.server.clone());
        if let Some(path) = &self.ca_file {
            let path = cx.resolve(path);
            let unusable = || Trouble::lasting(format!("{} holds no certificate in PEM form", path.display()));
            let pem = disk::read_optional(&path).ok().flatten().ok_or_else(unusable)?;
            builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|_| unusable())?);
        }
        builder.build().map_err(|error| Trouble::lasting(chain(&error)))
    }
}
