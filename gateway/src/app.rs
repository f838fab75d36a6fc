//! Builds everything from the configuration and the world, starts it, and ends it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::Router;
use http::{HeaderValue, uri::PathAndQuery};
use tokio::{runtime::Runtime, sync::watch};
use vestibule_core::{
    client::{GrantType, Grants},
    keyring::Purpose,
    metadata::Offered,
    register::RegistrationPolicy,
    resource::Dpop,
    token::jwt_bearer::Vouches,
    uri::{Issuer, OwnAuthority, RedirectKind},
};

use crate::{
    admin::{self, Admin, Desk, socket},
    audit::Audit,
    config::{self, Admission, Config, Idp, Server, Tls, Transport, UpstreamAuth},
    direct::DirectTokens,
    document_cache::DocumentCache,
    earlier::Earlier,
    fetch::{self, Documents},
    flows::Flows,
    http::{
        self as serving, Threads, arrivals::Arrivals, cookie::Jar, held::Held, limit::Limiter,
        seen::Seen,
    },
    key_cache::KeyCache,
    keys::{Keys, KeysError},
    office::Office,
    page,
    provider::Provider,
    providers::Providers,
    proxy::{Proxy, pool::Pool, route::Mount},
    pulse::Pulse,
    revocation::Revocations,
    routes,
    service::Service,
    store::{Store, StoreError, sqlite::Sqlite},
    trust::Trust,
    uses::Uses,
    vault::{self, Vault},
    world::World,
};

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Outgoing connections.
    #[error("outgoing connections: {0}")]
    Outgoing(String),
    /// A server's address.
    #[error("servers.{0}: its upstream address cannot be used")]
    Upstream(String),
    /// Threads or runtimes.
    #[error("the operating system refused a thread: {0}")]
    Threads(std::io::Error),
}

/// A gateway that serves.
pub struct Running {
    /// What the endpoints share.
    pub office: Arc<Office>,
    runtime: Runtime,
    threads: Threads,
    stop: watch::Sender<bool>,
    socket: PathBuf,
    /// Where clients are served.
    pub public: SocketAddr,
    /// Where health is served.
    pub admin: SocketAddr,
}

/// Routes that only the demo has.
pub type Extra = Box<dyn FnOnce(&Arc<Office>) -> Router>;

/// How long a step of a login waits for others on its way to the store.
const RECORD: Duration = Duration::from_millis(500);

/// How often what nobody needs any more is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// Starts a gateway. The caller has installed the process-wide TLS provider.
///
/// # Errors
/// [`StartError`], with everything that was started ended again.
pub fn start(config: Config, world: &World, extra: Extra) -> Result<Running, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("pages")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let revocations = Arc::new(Revocations::default());
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&config.store, Arc::clone(&revocations))?);
    let keys = runtime.block_on(Keys::load(
        &config.keys_dir,
        config.public_url.text(),
        &*store,
        world,
    ))?;
    let trust = Trust::load(config.extra_ca_file.as_deref()).map_err(StartError::Outgoing)?;
    let listen = |address| move |error| StartError::Listen { address, error };
    let admin_listener =
        std::net::TcpListener::bind(config.admin.listen).map_err(listen(config.admin.listen))?;
    admin_listener
        .set_nonblocking(true)
        .map_err(listen(config.admin.listen))?;
    let admin = admin_listener
        .local_addr()
        .map_err(listen(config.admin.listen))?;
    let office = Arc::new(office(
        &config,
        console_url(&config.admin, admin)?,
        keys,
        Arc::clone(&store),
        Arc::clone(&revocations),
        &trust,
        world,
    )?);
    let configured = office.clients.values();
    let configured = configured.map(|client| (client.id.clone(), client.name_for_people()));
    runtime.block_on(store.know_clients(configured.collect(), world.now()))?;
    let vault = Arc::new(Vault::new(Arc::clone(&office)));
    let pages = routes::routes(Arc::clone(&office), Arc::clone(&vault), extra(&office));

    let listeners =
        serving::bind(config.listen, config.limits.threads).map_err(listen(config.listen))?;
    let public = listeners[0].local_addr().map_err(listen(config.listen))?;
    // Whether every server can be mounted is found out here, not on a thread.
    for server in &config.servers {
        mount(server, trust.config())?;
        if server.transport == Transport::LegacySse {
            tracing::warn!(
                event = "server.deprecated_transport",
                server = server.resource.name,
                "the transport of 2024-11-05 is deprecated: move this server to streamable HTTP",
            );
        }
    }
    let (stop, stopped) = watch::channel(false);
    let handle = runtime.handle().clone();
    let limits = config.limits;
    let servers = config.servers;
    let proxy_revocations = Arc::clone(&revocations);
    let data_stopped = stopped.clone();
    let threads = serving::serve(
        listeners,
        limits,
        config.trusted_proxies.clone(),
        &stopped,
        move || {
            let mounts = servers
                .iter()
                .filter_map(|server| mount(server, trust.config()).ok())
                .collect();
            Proxy::new(
                Arc::clone(&vault),
                Arc::clone(&proxy_revocations),
                limits,
                mounts,
                pages.clone(),
                handle.clone(),
                data_stopped.clone(),
            )
        },
    )
    .map_err(StartError::Threads)?;

    runtime.spawn(keep_house(
        Arc::clone(&office),
        revocations,
        config.keys_dir.clone(),
        stopped.clone(),
    ));
    runtime.spawn({
        let office = Arc::clone(&office);
        let mut stopped = stopped.clone();
        async move {
            while tokio::time::timeout(RECORD, stopped.wait_for(|stopped| *stopped))
                .await
                .is_err()
            {
                office.uses.keep(&*office.store, &office.flows).await;
                office.flows.keep().await;
                office.audit.keep().await;
            }
        }
    });
    runtime.spawn({
        let office = Arc::clone(&office);
        let mut stopped = stopped.clone();
        async move {
            tokio::select! {
                () = office.providers.keep_fresh() => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
    });
    let desk = Arc::new(Desk {
        store: Arc::clone(&office.store),
        flows: office.flows.clone(),
        audit: Arc::clone(&office.audit),
        catalogue: office.catalogue.clone(),
        issuer: office.issuer.clone(),
        world: office.world.clone(),
        keys_dir: config.keys_dir.clone(),
        office: Some(Arc::clone(&office)),
    });
    let socket = socket::path_of(&config.store);
    match socket::listen(&socket) {
        Ok(control) => {
            let desk = Arc::clone(&desk);
            let mut stopped = stopped.clone();
            runtime.spawn(async move {
                let stopped = async move {
                    let _ = stopped.wait_for(|stopped| *stopped).await;
                };
                if let Err(error) = socket::serve(control, desk, stopped).await {
                    tracing::error!(event = "admin.failed", %error);
                }
            });
        }
        // Not every place takes one, and nobody's tools depend on it.
        Err(error) => tracing::warn!(
            event = "admin.no_socket",
            path = %socket.display(),
            %error,
            "commands cannot reach this gateway; the console can",
        ),
    }
    let management = Arc::new(Admin::new(Arc::clone(&office), desk));
    runtime.spawn(serve_admin(
        admin_listener,
        admin::routes(&management),
        stopped,
    ));
    Ok(Running {
        office,
        runtime,
        threads,
        stop,
        socket,
        public,
        admin,
    })
}

impl Running {
    /// Runs `until` and then ends everything: no new connections, running requests get their
    /// time, the store is left tidy.
    pub fn run_until(self, until: impl Future<Output = ()>) {
        self.runtime.block_on(until);
        self.stop();
    }

    /// A handle of the runtime beside the data threads.
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.runtime.handle().clone()
    }

    /// Ends everything.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        self.threads.join();
        self.runtime.block_on(async {
            let office = &self.office;
            office.uses.keep(&*office.store, &office.flows).await;
            office.flows.keep().await;
        });
        self.runtime.block_on(self.office.audit.keep());
        // Commands find nobody there from now on.
        let _ = std::fs::remove_file(&self.socket);
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// Where operators' browsers find the console.
fn console_url(admin: &config::Admin, bound: SocketAddr) -> Result<Issuer, StartError> {
    if let Some(url) = &admin.url {
        return Ok(url.clone());
    }
    // Whoever listens everywhere is found on this computer at least.
    let found = if bound.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], bound.port()))
    } else {
        bound
    };
    // Off this computer a session must not go in plain text.
    Issuer::parse(&format!("http://{found}"))
        .or_else(|_| Issuer::parse(&format!("https://{found}")))
        .map_err(|_| StartError::Outgoing(format!("no console can be at {found}; set admin.url")))
}

fn office(
    config: &Config,
    console: Issuer,
    keys: Keys,
    store: Arc<dyn Store>,
    revocations: Arc<Revocations>,
    trust: &Trust,
    world: &World,
) -> Result<Office, StartError> {
    let provider = |idp: &Idp| {
        let http = fetch::provider_client(trust, config.limits.provider_time);
        let http = http.map_err(StartError::Outgoing)?;
        Ok(Provider::new(
            idp.clone(),
            &config.public_url,
            http,
            config.limits.provider_time,
            world.clone(),
        ))
    };
    let further = config.idps.iter().map(provider);
    let further = further.collect::<Result<Vec<_>, StartError>>()?;
    let providers = Providers::new(provider(&config.idp)?, further);
    let registration = &config.registration;
    let documents = Documents::new(registration.unsafe_document_addresses.clone(), trust)
        .map_err(StartError::Outgoing)?;
    let schemes = registration.private_schemes.clone();
    let pulse = Arc::new(Pulse::new(world.now()));
    if config
        .clients
        .iter()
        .flat_map(|client| &client.redirect_uris)
        .any(|uri| uri.kind() == RedirectKind::PrivateScheme)
    {
        tracing::info!(
            event = "config.private_scheme",
            "a client uses a scheme of its own"
        );
    }
    Ok(Office {
        issuer: config.public_url.clone(),
        style: page::brand::style(config.brand.color),
        brand: config.brand.clone(),
        landing: config.landing,
        jar: match config.tls {
            Tls::PlainLoopback => Jar::PlainLoopback,
            Tls::BehindProxy => Jar::Secure,
        },
        catalogue: config.catalogue(),
        offered: offered(config),
        policy: RegistrationPolicy {
            private_schemes: schemes.clone(),
            redirect_hosts: match &registration.dynamic {
                Admission::Allowlist(hosts) => Some(hosts.clone()),
                Admission::Open | Admission::Off => None,
            },
            own: OwnAuthority::of(config.public_url.text()),
        },
        registration: registration.clone(),
        clients: config
            .clients
            .iter()
            .map(|client| (client.id.clone(), client.clone()))
            .collect(),
        key_cache: KeyCache::new(
            documents.clone(),
            fetch::provider_client(trust, config.limits.provider_time)
                .map_err(StartError::Outgoing)?,
        ),
        documents: DocumentCache::new(documents, schemes),
        issuers: config.issuers.clone(),
        services: services(config, trust)?,
        trusted_proxies: config.trusted_proxies.clone(),
        arrivals: Arrivals::default(),
        // Each holds its body, and only its client says that there is anything to wait for.
        waiting: Held::new(2),
        held: Held::new(config.limits.streams),
        // Many people may sit behind one address of a vendor, so much is let through at once.
        beginnings: Limiter::new(
            config.limits.registrations.saturating_mul(3),
            config.limits.registrations,
            50,
        ),
        failures: Limiter::new(60, 30, 1_000),
        failing: Limiter::new(600, 300, 50),
        devices: Limiter::new(30, 10, 50),
        proofs: Seen::default(),
        sign_ins: Seen::default(),
        tokens: config.tokens,
        vouching: config.idp.vouching,
        body_max: config.limits.oauth_body,
        keys: ArcSwap::from_pointee(keys),
        flows: Flows::new(world.clone(), Arc::clone(&store), Arc::clone(&pulse)),
        earlier: Earlier::default(),
        uses: Uses::default(),
        audit: Arc::new(Audit::new(
            config.audit,
            Arc::clone(&store),
            Arc::clone(&pulse),
        )),
        store,
        revocations,
        vouchers: config.vouchers(),
        direct: DirectTokens::default(),
        providers,
        flows_open: config.try_page,
        roles: config.admin.roles.clone(),
        console,
        pulse: Arc::clone(&pulse),
        world: world.clone(),
    })
}

/// Services behind servers at which people have accounts, by the server's name.
fn services(config: &Config, trust: &Trust) -> Result<HashMap<String, Service>, StartError> {
    let mut out = HashMap::new();
    for server in &config.servers {
        if let UpstreamAuth::Connection(settings) = &server.upstream_auth {
            let name = &server.resource.name;
            let callback = format!("{}/oauth-callback/connect/{name}", config.public_url);
            let http = fetch::provider_client(trust, config.limits.provider_time)
                .map_err(StartError::Outgoing)?;
            let service = Service::new((**settings).clone(), callback, http);
            out.insert(name.clone(), service);
        }
    }
    Ok(out)
}

/// What the metadata may promise: a grant is offered if somebody may use it.
fn offered(config: &Config) -> Offered {
    use GrantType as G;
    let operators = |grant| {
        config
            .clients
            .iter()
            .any(|client| client.grants.contains(grant))
    };
    let people = config
        .issuers
        .iter()
        .any(|issuing| matches!(issuing.trusted.vouches, Vouches::People { .. }));
    let grants = G::ALL.into_iter().filter(|grant| match grant {
        G::AuthorizationCode => true,
        G::RefreshToken => config.tokens.refresh,
        G::DeviceCode => config.tokens.device,
        G::ClientCredentials | G::TokenExchange => operators(*grant),
        G::JwtBearer => !config.issuers.is_empty(),
    });
    Offered {
        registration: config.registration.dynamic != Admission::Off,
        documents: config.registration.documents != Admission::Off,
        grants: Grants::of(grants),
        id_jag: people,
        dpop: config
            .servers
            .iter()
            .any(|server| server.resource.dpop != Dpop::Off),
    }
}

fn mount(server: &Server, tls: &Arc<rustls::ClientConfig>) -> Result<Mount, StartError> {
    let wrong = || StartError::Upstream(server.resource.name.clone());
    let url = &server.upstream;
    let host = url.host_str().ok_or_else(wrong)?;
    let port = url.port_or_known_default().ok_or_else(wrong)?;
    let secure = url.scheme() == "https";
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let tls = secure.then(|| Arc::clone(tls));
    let pool = Pool::new(host, port, tls).map_err(|_| wrong())?;
    Ok(Mount {
        label: server.resource.name.as_str().into(),
        resource: server.resource.clone(),
        public: server.public,
        origins: server.origins.clone(),
        upstream_auth: server.upstream_auth.clone(),
        fixed: vault::fixed(&server.upstream_auth).ok_or_else(wrong)?,
        transport: server.transport,
        direct: server.direct.clone(),
        base: url.clone(),
        host: HeaderValue::from_str(&authority).map_err(|_| wrong())?,
        target: PathAndQuery::try_from(target).map_err(|_| wrong())?,
        pool: pool.into(),
    })
}

async fn keep_house(
    office: Arc<Office>,
    revocations: Arc<Revocations>,
    keys_dir: PathBuf,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let now = office.world.now();
        revocations.forget(now);
        let audit = now.minus(office.audit.retention());
        if let Err(error) = office.store.sweep(now, audit).await {
            tracing::warn!(event = "store.sweep_failed", %error);
        }
        if let Err(error) = keep_keys(&office, &keys_dir).await {
            // The keys that are in use stay in use.
            tracing::error!(event = "key.failed", %error);
        }
    }
}

/// Rotates what is due and takes over what was rotated, here or by command.
///
/// # Errors
/// [`KeysError`]; nothing changed then.
pub async fn keep_keys(office: &Office, dir: &Path) -> Result<(), KeysError> {
    if office.keys.load().access_key_is_old(office.world.now()) {
        Keys::rotate(dir, Purpose::Access, &*office.store, &office.world).await?;
    }
    let keys = Keys::load(dir, office.issuer.text(), &*office.store, &office.world).await?;
    office.keys.store(Arc::new(keys));
    Ok(())
}

async fn serve_admin(
    listener: std::net::TcpListener,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let served = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => {
            axum::serve(listener, routes)
                .with_graceful_shutdown(async move {
                    let _ = stopped.wait_for(|stopped| *stopped).await;
                })
                .await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(event = "admin.failed", %error);
    }
}
