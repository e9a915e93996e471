// SPDX-License-Identifier: GPL-3.0-or-later
// The supervisor as the window sees it: requests never block, answers come as signals on the window's thread.
#pragma once

#include "app/engine/client/engine_client.h"

#include <QObject>
#include <QString>
#include <QThreadPool>
#include <QTimer>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace rankscope::workbench
{

class EngineLink : public QObject
{
    Q_OBJECT

public:
    /// Empty paths mean the defaults. `program`: the engine to start, beside this program by default.
    EngineLink(const QString& socket, const QString& runsFolder, const QString& program = {},
               QObject* parent = nullptr);
    ~EngineLink() override;

    /// Connects, starting a supervisor where none answers; when that one is gone, to the next that answers.
    void start();
    /// rankscope-engine; empty: the one beside this program.
    [[nodiscard]] QString program() const { return QString::fromStdString(m_options.program.string()); }
    [[nodiscard]] bool isConnected() const { return m_connected; }
    [[nodiscard]] const std::vector<client::RunStatus>& runs() const { return m_runs; }

    // These too start a supervisor where none runs.
    void submit(const QString& jobJson, const QString& baseFolder);
    void plan(quint64 ticket, const QString& jobJson, const QString& baseFolder);
    /// `now` ends a job at once; what it did since its last checkpoint is lost.
    void stop(const QString& run, bool now = false);
    void resume(const QString& run);

Q_SIGNALS:
    void connectedChanged(bool connected);
    void runsChanged();
    void submitted(const QString& runPath);
    void planned(quint64 ticket, const QString& json, const QString& error);
    void submitRefused(const QString& message);
    /// The engine has taken the request.
    void stopAccepted(const QString& name, bool now);
    void resumeAccepted(const QString& name);
    /// A start, stop or resume that failed.
    void failed(const QString& message);

private:
    using Client = client::EngineClient;
    [[nodiscard]] std::optional<Client> present();
    [[nodiscard]] Result<Client> startIfNeeded();
    void attach();
    void take(const Client& client);
    void lost();
    void onWindowThread(std::function<void()> work);
    /// `accepted` is called on the window's thread with the run's name.
    void request(QThreadPool& pool, std::function<Result<client::RunStatus>(const Client&)> call,
                 std::function<void(const QString&)> accepted);

    client::EngineClient::StartOptions m_options;
    std::mutex m_mutex; ///< guards m_client
    std::optional<Client> m_client;
    client::Watch m_watch;
    std::vector<client::RunStatus> m_runs;
    QThreadPool m_commands;
    QThreadPool m_stops; ///< a stop waits for no job that is being checked
    QThreadPool m_plans;
    QTimer m_retry;
    bool m_connected = false;
    bool m_attaching = false;
};

} // namespace rankscope::workbench
