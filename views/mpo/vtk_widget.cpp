// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/mpo/vtk_widget.h"

#include <QCoreApplication>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QOpenGLContext>
#include <QOpenGLExtraFunctions>
#include <QSurfaceFormat>
#include <QWheelEvent>

#include <vtkCamera.h>
#include <vtkGenericOpenGLRenderWindow.h>
#include <vtkGenericRenderWindowInteractor.h>
#include <vtkInteractorStyleTrackballCamera.h>
#include <vtkNew.h>
#include <vtkOpenGLFramebufferObject.h>
#include <vtkOpenGLState.h>
#include <vtkRenderer.h>

#include <cmath>

namespace rankscope::views
{

struct VtkWidget::Vtk {
    vtkNew<vtkGenericOpenGLRenderWindow> window;
    vtkNew<vtkGenericRenderWindowInteractor> interactor;
    vtkNew<vtkRenderer> renderer;
};

void VtkWidget::setDefaultSurfaceFormat()
{
    QSurfaceFormat format;
    format.setRenderableType(QSurfaceFormat::OpenGL);
    format.setVersion(3, 2);
    format.setProfile(QSurfaceFormat::CoreProfile);
    format.setRedBufferSize(8);
    format.setGreenBufferSize(8);
    format.setBlueBufferSize(8);
    format.setAlphaBufferSize(8);
    format.setDepthBufferSize(24);
    format.setSamples(0);
    QSurfaceFormat::setDefaultFormat(format);
    // Keeps the context, and with it what VTK has put there, when the view is torn off into another window.
    QCoreApplication::setAttribute(Qt::AA_ShareOpenGLContexts);
}

VtkWidget::VtkWidget(QWidget* parent) : QOpenGLWidget(parent), m_vtk(std::make_unique<Vtk>())
{
    setUpdateBehavior(QOpenGLWidget::NoPartialUpdate);
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    m_vtk->window->AddRenderer(m_vtk->renderer);
    m_vtk->interactor->SetRenderWindow(m_vtk->window);
    vtkNew<vtkInteractorStyleTrackballCamera> style;
    m_vtk->interactor->SetInteractorStyle(style);
}

VtkWidget::~VtkWidget()
{
    makeCurrent();
    m_vtk->window->Finalize();
    doneCurrent();
}

vtkRenderer* VtkWidget::renderer() const
{
    return m_vtk->renderer;
}

void VtkWidget::initializeGL()
{
    m_vtk->window->SetReadyForRendering(true);
    m_vtk->window->SetIsCurrent(true);
    m_vtk->window->SetSupportsOpenGL(true);
    m_vtk->window->SetMapped(true);
    m_vtk->window->SetMultiSamples(8);
    m_vtk->window->SetFrameBlitModeToNoBlit();
    m_vtk->window->OpenGLInit();
    m_vtk->interactor->Initialize(); // asks the window for its size, which needs the context
}

void VtkWidget::resizeGL(int width, int height)
{
    const double ratio = devicePixelRatioF();
    const int pixelWidth = static_cast<int>(width * ratio);
    const int pixelHeight = static_cast<int>(height * ratio);
    m_vtk->window->SetSize(pixelWidth, pixelHeight);
    m_vtk->window->SetDPI(
        static_cast<int>(std::lround(72 * ratio))); // labels: a point is a pixel of the window
    m_vtk->interactor->UpdateSize(pixelWidth, pixelHeight);
}

void VtkWidget::paintGL()
{
    vtkOpenGLState* state = m_vtk->window->GetState();
    state->Reset();
    state->Push();
    m_vtk->window->Render();
    // VTK draws into its own framebuffer: copy its colour, then make the widget opaque, for Qt composes with
    // alpha.
    QOpenGLExtraFunctions* gl = QOpenGLContext::currentContext()->extraFunctions();
    const double ratio = devicePixelRatioF();
    const int pixelWidth = static_cast<int>(width() * ratio);
    const int pixelHeight = static_cast<int>(height() * ratio);
    vtkOpenGLFramebufferObject* drawn = m_vtk->window->GetDisplayFramebuffer();
    gl->glBindFramebuffer(GL_READ_FRAMEBUFFER, drawn->GetFBOIndex());
    gl->glReadBuffer(GL_COLOR_ATTACHMENT0);
    gl->glBindFramebuffer(GL_DRAW_FRAMEBUFFER, defaultFramebufferObject());
    gl->glDisable(GL_SCISSOR_TEST);
    gl->glBlitFramebuffer(0, 0, pixelWidth, pixelHeight, 0, 0, pixelWidth, pixelHeight, GL_COLOR_BUFFER_BIT,
                          GL_NEAREST);
    gl->glBindFramebuffer(GL_FRAMEBUFFER, defaultFramebufferObject());
    gl->glColorMask(GL_FALSE, GL_FALSE, GL_FALSE, GL_TRUE);
    gl->glClearColor(0, 0, 0, 1);
    gl->glClear(GL_COLOR_BUFFER_BIT);
    gl->glColorMask(GL_TRUE, GL_TRUE, GL_TRUE, GL_TRUE);
    state->Pop();
}

void VtkWidget::place(QMouseEvent* event)
{
    const double ratio = devicePixelRatioF();
    m_vtk->interactor->SetEventInformationFlipY(static_cast<int>(event->position().x() * ratio),
                                                static_cast<int>(event->position().y() * ratio),
                                                event->modifiers().testFlag(Qt::ControlModifier) ? 1 : 0,
                                                event->modifiers().testFlag(Qt::ShiftModifier) ? 1 : 0);
}

void VtkWidget::mousePressEvent(QMouseEvent* event)
{
    place(event);
    if (event->button() == Qt::LeftButton)
        m_vtk->interactor->LeftButtonPressEvent();
    else if (event->button() == Qt::MiddleButton)
        m_vtk->interactor->MiddleButtonPressEvent();
}

void VtkWidget::mouseReleaseEvent(QMouseEvent* event)
{
    place(event);
    if (event->button() == Qt::LeftButton)
        m_vtk->interactor->LeftButtonReleaseEvent();
    else if (event->button() == Qt::MiddleButton)
        m_vtk->interactor->MiddleButtonReleaseEvent();
    update();
}

void VtkWidget::mouseMoveEvent(QMouseEvent* event)
{
    place(event);
    m_vtk->interactor->MouseMoveEvent();
    if (event->buttons() != Qt::NoButton) {
        update();
        return;
    }
    const double ratio = devicePixelRatioF();
    Q_EMIT pointed(event->position().x() * ratio, (height() - event->position().y()) * ratio,
                   event->globalPosition().toPoint());
}

void VtkWidget::leaveEvent(QEvent* event)
{
    Q_EMIT left();
    QOpenGLWidget::leaveEvent(event);
}

void VtkWidget::mouseDoubleClickEvent(QMouseEvent* /*event*/)
{
    Q_EMIT resetRequested();
}

void VtkWidget::wheelEvent(QWheelEvent* event)
{
    if (event->angleDelta().y() > 0)
        m_vtk->interactor->MouseWheelForwardEvent();
    else if (event->angleDelta().y() < 0)
        m_vtk->interactor->MouseWheelBackwardEvent();
    update();
    event->accept();
}

void VtkWidget::keyPressEvent(QKeyEvent* event)
{
    // The mouse is not needed: Shift and arrows turn, plus and minus zoom.
    vtkCamera* camera = m_vtk->renderer->GetActiveCamera();
    constexpr double degrees = 7.5;
    const bool shift = event->modifiers().testFlag(Qt::ShiftModifier);
    if (shift && event->key() == Qt::Key_Left)
        camera->Azimuth(degrees);
    else if (shift && event->key() == Qt::Key_Right)
        camera->Azimuth(-degrees);
    else if (shift && event->key() == Qt::Key_Up)
        camera->Elevation(-degrees);
    else if (shift && event->key() == Qt::Key_Down)
        camera->Elevation(degrees);
    else if (event->key() == Qt::Key_Plus)
        camera->Zoom(1.15);
    else if (event->key() == Qt::Key_Minus)
        camera->Zoom(1 / 1.15);
    else {
        QOpenGLWidget::keyPressEvent(event);
        return;
    }
    camera->OrthogonalizeViewUp();
    m_vtk->renderer->ResetCameraClippingRange();
    update();
}

} // namespace rankscope::views
