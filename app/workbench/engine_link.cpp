// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/engine_link.h"

#include "core/base/paths.h"

namespace rankscope::workbench
{

namespace
{
constexpr int retryInterval = 2000; ///< ms between looks for a supervisor
constexpr std::chrono::milliseconds shortPatience(500);
} // namespace

EngineLink::EngineLink(const QString& socket, const QString& runsFolder, const QString& program,
                       QObject* parent)
    : QObject(parent)
{
    m_options.program = program.toStdString();
    m_options.socket = socket.toStdString();
    m_options.runsFolder = runsFolder.toStdString();
    if (m_options.socket.empty())
        if (const auto standard = base::defaultSocket())
            m_options.socket = *standard;
    m_commands.setMaxThreadCount(1);
    m_stops.setMaxThreadCount(1);
    m_plans.setMaxThreadCount(1);
    m_retry.setInterval(retryInterval);
    connect(&m_retry, &QTimer::timeout, this, &EngineLink::attach);
}

EngineLink::~EngineLink()
{
    m_watch.cancel();
    m_commands.waitForDone();
    m_stops.waitForDone();
    m_plans.waitForDone();
}

void EngineLink::onWindowThread(std::function<void()> work)
{
    QMetaObject::invokeMethod(this, std::move(work), Qt::QueuedConnection);
}

std::optional<EngineLink::Client> EngineLink::present()
{
    const std::lock_guard lock(m_mutex);
    return m_client;
}

Result<EngineLink::Client> EngineLink::startIfNeeded()
{
    if (auto client = present())
        return *client;
    auto started = Client::startIfNeeded(m_options);
    if (started)
        onWindowThread([this, client = *started] { take(client); });
    return started;
}

void EngineLink::start()
{
    m_retry.start();
    m_commands.start([this] {
        if (const auto client = startIfNeeded(); !client)
            onWindowThread(
                [this, message = QString::fromStdString(client.error().message)] { Q_EMIT failed(message); });
    });
}

void EngineLink::attach()
{
    if (m_connected || m_attaching)
        return;
    m_attaching = true;
    m_commands.start([this] {
        auto client = Client::connect(m_options.socket, shortPatience);
        onWindowThread([this, client = std::move(client)] {
            m_attaching = false;
            if (client)
                take(*client);
        });
    });
}

void EngineLink::take(const Client& client)
{
    if (m_connected)
        return;
    {
        const std::lock_guard lock(m_mutex);
        m_client = client;
    }
    m_connected = true;
    m_watch = client.watchList(
        [this](std::vector<client::RunStatus> runs) {
            onWindowThread([this, runs = std::move(runs)]() mutable {
                m_runs = std::move(runs);
                Q_EMIT runsChanged();
            });
        },
        [this](const Status&) { onWindowThread([this] { lost(); }); });
    Q_EMIT connectedChanged(true);
}

void EngineLink::lost()
{
    if (!m_connected)
        return;
    {
        const std::lock_guard lock(m_mutex);
        m_client.reset();
    }
    m_connected = false;
    // Jobs outlive their supervisor, but nobody tells of them now.
    for (client::RunStatus& run : m_runs) {
        if (run.state != "queued" && run.state != "running" && run.state != "stopping")
            continue;
        run.state = "unknown";
        run.reason = tr("the engine does not answer any more").toStdString();
        run.phase.clear();
        run.remainingSeconds = -1;
        run.pid = 0;
    }
    Q_EMIT connectedChanged(false);
}

void EngineLink::submit(const QString& jobJson, const QString& baseFolder)
{
    m_commands.start([this, job = jobJson.toStdString(), folder = baseFolder.toStdString()] {
        const auto client = startIfNeeded();
        const auto status = client ? client->submit(job, folder) : tl::unexpected<Error>(client.error());
        onWindowThread([this, status] {
            if (status)
                Q_EMIT submitted(QString::fromStdString(status->path));
            else
                Q_EMIT submitRefused(QString::fromStdString(status.error().message));
        });
    });
}

void EngineLink::plan(quint64 ticket, const QString& jobJson, const QString& baseFolder)
{
    m_plans.clear(); // a newer request replaces those that wait
    m_plans.start([this, ticket, job = jobJson.toStdString(), folder = baseFolder.toStdString()] {
        const auto client = startIfNeeded();
        const auto json =
            client ? client->plan(job, folder) : Result<std::string>(tl::unexpected<Error>(client.error()));
        onWindowThread([this, ticket, json] {
            Q_EMIT planned(ticket, json ? QString::fromStdString(*json) : QString(),
                           json ? QString() : QString::fromStdString(json.error().message));
        });
    });
}

void EngineLink::request(QThreadPool& pool, std::function<Result<client::RunStatus>(const Client&)> call,
                         std::function<void(const QString&)> accepted)
{
    pool.start([this, call = std::move(call), accepted = std::move(accepted)] {
        const auto client = startIfNeeded();
        const auto status = client ? call(*client) : tl::unexpected<Error>(client.error());
        onWindowThread([this, status, accepted] {
            if (status)
                accepted(QString::fromStdString(status->name.empty() ? status->id : status->name));
            else
                Q_EMIT failed(QString::fromStdString(status.error().message));
        });
    });
}

void EngineLink::stop(const QString& run, bool now)
{
    request(
        m_stops, [id = run.toStdString(), now](const Client& client) { return client.stop(id, now); },
        [this, now](const QString& name) { Q_EMIT stopAccepted(name, now); });
}

void EngineLink::resume(const QString& run)
{
    request(
        m_commands, [id = run.toStdString()](const Client& client) { return client.resume(id); },
        [this](const QString& name) { Q_EMIT resumeAccepted(name); });
}

} // namespace rankscope::workbench
