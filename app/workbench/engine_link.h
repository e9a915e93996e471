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
    /// Empty paths mean the defaults.
    EngineLink(const QString& socket, const QString& runsFolder, QObject* parent = nullptr);
    ~EngineLink() override;

    /// Connects when a supervisor answers, now or later; never starts one.
    void attach();
    [[nodiscard]] bool isConnected() const { return m_connected; }
    [[nodiscard]] const std::vector<client::RunStatus>& runs() const { return m_runs; }

    // These start a supervisor where none runs.
    void submit(const QString& jobJson, const QString& baseFolder);
    void plan(quint64 ticket, const QString& jobJson, const QString& baseFolder);
    void stop(const QString& run);
    void resume(const QString& run);

Q_SIGNALS:
    void connectedChanged(bool connected);
    void runsChanged();
    void submitted(const QString& runPath);
    void planned(quint64 ticket, const QString& json, const QString& error);
    /// A submit, stop or resume that was refused.
    void refused(const QString& message);

private:
    using Client = client::EngineClient;
    [[nodiscard]] std::optional<Client> present();
    [[nodiscard]] Result<Client> startIfNeeded();
    void take(const Client& client);
    void lost();
    void onWindowThread(std::function<void()> work);
    void request(std::function<Result<client::RunStatus>(const Client&)> call);

    client::EngineClient::StartOptions m_options;
    std::mutex m_mutex; ///< guards m_client
    std::optional<Client> m_client;
    client::Watch m_watch;
    std::vector<client::RunStatus> m_runs;
    QThreadPool m_commands;
    QThreadPool m_plans;
    QTimer m_retry;
    bool m_connected = false;
    bool m_attaching = false;
};

} // namespace rankscope::workbench
