//! The Docker API of a VCH, as far as the operator asks it anything: `GET /info`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::images::causes;
use crate::trust::{Anchor, Identity, TrustError, client_config};

/// How long a connection and a whole answer may take.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);

/// How a Docker API is reached.
#[derive(Clone, Debug)]
pub struct DockerEndpoint<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is secured; absent, plain HTTP.
    pub tls: Option<DockerTls<'a>>,
}

/// How a Docker API is secured.
#[derive(Clone, Debug)]
pub struct DockerTls<'a> {
    /// The name in the server's certificate, if that is not its address.
    pub name: Option<String>,
    /// PEM of the authority that the server's certificate is of.
    pub authority: &'a str,
    /// The client's certificate, where the server wants one.
    pub identity: Option<Identity<'a>>,
}

/// Why a Docker API gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// No connection, or none that is trusted, or no answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that is not 200.
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    /// An answer that is not what `GET /info` says.
    #[error("its answer could not be understood: {0}")]
    Unreadable(String),
    /// It answers, but does not serve yet.
    #[error("it says that it is {0}")]
    NotRunning(String),
    /// Certificates that no client can be made of.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default)]
    driver: String,
    #[serde(default)]
    system_status: Option<Vec<Vec<String>>>,
}

impl DockerEndpoint<'_> {
    /// The URL that is asked.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.tls {
            None => format!("http://{}/info", self.address),
            Some(tls) => match &tls.name {
                None => format!("https://{}/info", self.address),
                Some(name) => format!("https://{name}:{}/info", self.address.port()),
            },
        }
    }

    /// Whether it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn info(&self) -> Result<(), DockerError> {
        let unreachable = |error: reqwest::Error| DockerError::Unreachable(causes(&error.without_url()));
        let client = self.client()?.map_err(unreachable)?;
        let response = client.get(self.url()).send().await.map_err(unreachable)?;
        let status = response.status();
        if status != reqwest::StatusCode::OK {
            return Err(DockerError::Status(status.as_u16()));
        }
        let text = response.bytes().await.map_err(unreachable)?;
        let info: Info =
            serde_json::from_slice(&text).map_err(|error| DockerError::Unreadable(error.to_string()))?;
        serving(&info)
    }

    fn client(&self) -> Result<reqwest::Result<reqwest::Client>, TrustError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .no_proxy();
        // Plain HTTP needs no trust, but a client wants a configuration all the same.
        if let Some(tls) = &self.tls {
            let (config, _) = client_config(&Anchor::Authorities(tls.authority.to_owned()), tls.identity)?;
            builder = builder.tls_backend_preconfigured(config);
            if let Some(name) = &tls.name {
                builder = builder.resolve(name, self.address);
            }
        }
        Ok(builder.build())
    }
}

/// A VCH tells the state of its storage driver among other rows; while that is not `RUNNING`, it does not
/// serve.
fn serving(info: &Info) -> Result<(), DockerError> {
    let rows = info.system_status.as_deref().unwrap_or_default();
    let state = rows.iter().find_map(|row| match row.as_slice() {
        [name, state] if *name == info.driver => Some(state),
        _ => None,
    });
    match state {
        Some(state) if !state.eq_ignore_ascii_case("RUNNING") => Err(DockerError::NotRunning(state.clone())),
        _ => Ok(()),
    }
}

/// The name to dial for a certificate's name: a wildcard stands for any one label.
#[must_use]
pub fn dialled_name(name: &str) -> String {
    name.strip_prefix('*')
        .map_or_else(|| name.to_owned(), |rest| format!("docker{rest}"))
}

/// The socket of an address and port.
#[must_use]
pub fn socket(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    async fn serve(status: StatusCode, body: &'static str) -> SocketAddr {
        // The operator's main does so too: one provider for the process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/info", get(move || async move { (status, body) }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    async fn ask(address: SocketAddr) -> String {
        let endpoint = DockerEndpoint { address, tls: None };
        endpoint
            .info()
            .await
            .map_or_else(|error| error.to_string(), |()| "serves".to_owned())
    }

    #[tokio::test]
    async fn each_answer_has_its_meaning() {
        let vic = r#"{"Driver":"vSphere Integrated Containers v1.5.8 Backend Engine","SystemStatus":
            [["VolumeStores","default"],["vSphere Integrated Containers v1.5.8 Backend Engine","RUNNING"]]}"#;
        let starting = r#"{"Driver":"vic","SystemStatus":[["vic","STARTING"]]}"#;
        let cases = [
            (StatusCode::OK, vic, "serves"),
            (
                StatusCode::OK,
                r#"{"Driver":"overlay2","SystemStatus":null}"#,
                "serves",
            ),
            (StatusCode::OK, starting, "it says that it is STARTING"),
            (StatusCode::OK, "no json", "could not be understood"),
            (StatusCode::SERVICE_UNAVAILABLE, "", "HTTP status 503"),
        ];
        for (status, body, expected) in cases {
            let answer = ask(serve(status, body).await).await;
            assert!(answer.contains(expected), "{body}: {answer}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_cause() {
        let address = serve(StatusCode::OK, "").await;
        let nobody = socket(address.ip(), 1);
        let answer = ask(nobody).await;
        assert!(answer.contains("refused"), "{answer}");
    }

    /// One connection is answered by a TLS server that wants the client's certificate.
    #[tokio::test]
    async fn the_clients_certificate_opens_the_door() {
        use crate::certificates::{Bundle, Wanted};
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let wanted = Wanted {
            organization: "vch1".to_owned(),
            common_name: Some("*.example.com".to_owned()),
            address: None,
            validity: Duration::new(3600, 0),
        };
        let bundle = Bundle::make(&wanted, std::time::SystemTime::now()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(bundle.authority.certificate.as_bytes()).unwrap())
            .unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let chain = vec![CertificateDer::from_pem_slice(bundle.server.certificate.as_bytes()).unwrap()];
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                chain,
                PrivateKeyDer::from_pem_slice(bundle.server.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
                        .await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        let identity = Identity {
            certificates: &bundle.client.certificate,
            key: &bundle.client.key,
        };
        let ask = async |identity| {
            let name = Some(dialled_name("*.example.com"));
            let tls = Some(DockerTls {
                name,
                authority: &bundle.authority.certificate,
                identity,
            });
            DockerEndpoint { address, tls }.info().await
        };
        ask(Some(identity)).await.unwrap();
        assert!(matches!(ask(None).await, Err(DockerError::Unreachable(_))));
    }
}
