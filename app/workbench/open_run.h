// SPDX-License-Identifier: GPL-3.0-or-later
// A run that is open in the window: read in the background, then followed as its journal grows.
#pragma once

#include "core/record/journal.h"
#include "core/record/run_record.h"

#include <QObject>
#include <QString>
#include <QTimer>

#include <memory>
#include <vector>

namespace rankscope::workbench
{

class OpenRun : public QObject
{
    Q_OBJECT

public:
    /// Starts reading; loaded() or failed() follows.
    /// `engineProgram` reads snapshots that Rankscope did not seal; empty: the one beside this program.
    explicit OpenRun(const QString& path, const QString& engineProgram = {}, QObject* parent = nullptr);
    ~OpenRun() override;

    /// The run directory or snapshot, absolute.
    [[nodiscard]] const QString& path() const { return m_path; }
    [[nodiscard]] QString title() const;
    /// Empty until loaded.
    [[nodiscard]] const record::RunRecord& record() const { return *m_record; }
    [[nodiscard]] bool isLoaded() const { return m_loaded; }
    /// True for a snapshot: it does not grow.
    [[nodiscard]] bool isSnapshot() const { return m_snapshot; }
    [[nodiscard]] const QString& error() const { return m_error; }
    /// Its directory was removed or renamed; what was read of it stays.
    [[nodiscard]] bool isGone() const { return m_gone; }
    [[nodiscard]] QString family() const { return m_family; }

    /// Takes what is new in the journal; called by a timer while the run is open.
    void poll();

    /// The same file system object named in different ways is the same run.
    static QString canonicalPath(const QString& path);

Q_SIGNALS:
    void loaded();
    /// New rows; `rewound`: a resumed run has superseded some that were there.
    void grew(bool rewound);
    void failed(const QString& message);

private:
    struct Loaded;
    void take(const std::shared_ptr<Loaded>& result);
    void readDescription();
    void stop(const QString& message);

    QString m_path;
    QString m_title;
    QString m_family;
    QString m_error;
    std::unique_ptr<record::RunRecord> m_record;
    std::unique_ptr<record::JournalFollower> m_follower;
    record::JournalReader m_reader;
    QTimer m_timer;
    bool m_loaded = false;
    bool m_snapshot = false;
    bool m_gone = false;
};

} // namespace rankscope::workbench
