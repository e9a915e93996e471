// SPDX-License-Identifier: GPL-3.0-or-later
// What went wrong, above the views until the user dismisses it.
#pragma once

#include <QFrame>
#include <QStringList>

class QLabel;
class QToolButton;

namespace rankscope::workbench
{

class MessageStrip : public QFrame
{
    Q_OBJECT

public:
    explicit MessageStrip(QWidget* parent = nullptr);

    void add(const QString& message);
    void dismiss();
    void refreshIcons();
    [[nodiscard]] const QStringList& messages() const { return m_messages; }
    [[nodiscard]] QToolButton* dismissButton() const { return m_dismiss; }

private:
    QLabel* m_icon;
    QLabel* m_text;
    QToolButton* m_dismiss;
    QStringList m_messages;
};

} // namespace rankscope::workbench
